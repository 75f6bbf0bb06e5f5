-- What a bot needs beside a turn: updates that no event can be made of, kept for a person to look at.

create table public.updates_set_aside (
    id bigint generated always as identity primary key,
    source text not null,
    update_id bigint, -- null: it had none
    raw text not null,
    reason text not null,
    set_aside_at timestamptz not null default now(),
    unique (source, update_id)
);
alter table public.updates_set_aside enable row level security;
revoke all on public.updates_set_aside from public, anon, authenticated, project_admin;
grant select, insert, delete on public.updates_set_aside to project_admin;
create policy updates_set_aside_all on public.updates_set_aside to project_admin using (true) with check (true);

-- Keep one; the same one again changes nothing. What is older than a month goes.
create function public.set_aside_update(for_source text, for_update_id bigint, raw text, reason text) returns void
language sql volatile
set search_path = public
as $$
    delete from updates_set_aside where set_aside_at < now() - interval '30 days';
    insert into updates_set_aside (source, update_id, raw, reason)
    values (for_source, for_update_id, left(raw, 100000), left(reason, 2000))
    on conflict do nothing
$$;
revoke all on function public.set_aside_update(text, bigint, text, text) from public, anon, authenticated;
grant execute on function public.set_aside_update(text, bigint, text, text) to project_admin;

-- claim_update, commit_turn and mark_sent without waiting for the disk. Whatever a crash of the server takes with it is done anew from
-- the inbox, whose rows are waited for: an update stays open until its turn is there, and a reply stays pending until its mark is.

create function public.take_update(
    for_source text, for_worker text, lease_s double precision, for_chat text default null, for_update_id bigint default null,
    only_jobs boolean default false
) returns jsonb
language plpgsql volatile
set search_path = public
as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    return claim_update(for_source, for_worker, lease_s, for_chat, for_update_id, only_jobs);
end
$$;

-- Commit a turn, and tell all that is needed to deliver its replies at once: {ids, target, is_next}, or null as commit_turn does.
-- `turn.target` is the channel's message that the first reply edits; the first one noted for an update stays, and is returned.
-- `is_next`: nothing waits in that chat before these replies but what the same worker holds.
create function public.finish_turn(turn jsonb) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    of_source constant text := turn ->> 'source';
    of_update constant bigint := (turn ->> 'update_id')::bigint;
    ids jsonb;
    newest outbox;
    target jsonb;
begin
    perform set_config('synchronous_commit', 'off', true);
    if nullif(turn -> 'target', 'null') is not null then
        perform save_step(of_source, of_update, 'placeholder', turn -> 'target');
    end if;
    ids := commit_turn(turn - 'target');
    if ids is null then
        return null;
    end if;
    select result into target from inbox_steps where source = of_source and update_id = of_update and step = 'placeholder';
    select * into newest from outbox where id = (ids ->> 0)::bigint;
    return jsonb_build_object('ids', ids, 'target', target, 'is_next', not exists (
        select from outbox earlier
        where earlier.source = of_source and earlier.chat = newest.chat and earlier.status = 'pending' and earlier.id < newest.id
            and not (earlier.worker = turn ->> 'worker' and coalesce(earlier.held_until > clock_timestamp(), false))));
end
$$;

create or replace function public.mark_sent(reply_id bigint, for_worker text, reference jsonb default null) returns boolean
language sql volatile
set search_path = public
as $$
    select set_config('synchronous_commit', 'off', true);
    with marked as (
        update outbox set status = 'sent', sent_at = clock_timestamp(), sent_ref = reference, error = null
        where id = reply_id and status = 'pending' and worker = for_worker
        returning 1
    )
    select exists (select from marked)
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.proname in ('take_update', 'finish_turn', 'mark_sent')
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;

-- Store what came in and, in the same transaction, claim the first of it for a worker that has nothing to do: {new, claim}.
-- This one waits for the disk, as receive_updates does. `claim` is what claim_update returns.
create function public.receive_and_take(updates jsonb, for_worker text, lease_s double precision) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    first constant jsonb := updates -> 0;
    stored constant integer := receive_updates(updates);
begin
    return jsonb_build_object('new', stored, 'claim', case when stored > 0 then
        claim_update(first ->> 'source', for_worker, lease_s, first ->> 'chat', (first ->> 'update_id')::bigint) end);
end
$$;
revoke all on function public.receive_and_take(jsonb, text, double precision) from public, anon, authenticated;
grant execute on function public.receive_and_take(jsonb, text, double precision) to project_admin;
