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
