-- What the HTTP adapter needs beside accounts: model calls with their callers' budgets, names of events that callers choose, and rows of the coach
-- for people who signed in with an account.
-- Only the service role reads and writes here; callers see what the adapter shows them.

create schema ai;
grant usage on schema ai to project_admin;

create table ai.usage (
    id uuid primary key,
    caller text not null check (length(caller) between 1 and 300),
    kind text not null check (kind in ('chat', 'embedding')),
    is_limited boolean not null,
    model_id text not null,
    outcome text not null default 'open' check (outcome in ('open', 'answered', 'failed', 'left')),
    -- Counts against the budget: the worst case until the call is settled, then what it cost, or still the worst case where nobody knows.
    counted_usd numeric not null check (counted_usd >= 0),
    cost_usd numeric check (cost_usd >= 0),
    input_tokens bigint not null default 0 check (input_tokens >= 0),
    output_tokens bigint not null default 0 check (output_tokens >= 0),
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);
create index usage_that_counts on ai.usage (created_at) include (caller, counted_usd) where is_limited;
create index usage_by_time on ai.usage (created_at desc, id);
comment on table ai.usage is 'A call that was cut off by a crash stays open and counts at its worst case until its day is over.';

alter table ai.usage enable row level security;
revoke all on ai.usage from public, anon, authenticated;
grant select, insert, update on ai.usage to project_admin;
create policy service on ai.usage to project_admin using (true) with check (true);

-- Hold back the worst case of one call, before anything is sent: within the caller's own limit, and within what all callers with a limit may
-- spend together. One reservation at a time decides, so two that come together cannot both take what is left for one. A repeat with the same id
-- changes nothing and is told the same. Callers without a limit are the operator's own.
create function public.reserve_ai_call(
    usage_id uuid, for_caller text, for_kind text, for_model text, worst_usd numeric, limit_usd numeric, limit_of_all_usd numeric,
    window_s double precision
) returns jsonb
language plpgsql volatile
set search_path = ai, public
as $$
declare
    since constant timestamptz := clock_timestamp() - make_interval(secs => window_s);
    own numeric;
    everybody numeric;
    oldest timestamptz;
    whose text;
begin
    perform pg_advisory_xact_lock(hashtextextended('ai', 0));
    if exists (select from usage where id = usage_id) then
        return jsonb_build_object('granted', true);
    end if;
    if limit_usd is not null then
        select coalesce(sum(counted_usd) filter (where caller = for_caller), 0), coalesce(sum(counted_usd), 0),
            min(created_at) filter (where caller = for_caller and counted_usd > 0)
        into own, everybody, oldest
        from usage
        where is_limited and created_at > since;
        whose := case when own + worst_usd > limit_usd then 'own' when everybody + worst_usd > limit_of_all_usd then 'all' end;
        if whose is not null then
            return jsonb_build_object('granted', false, 'whose', whose,
                'left_usd', greatest(0, case whose when 'own' then limit_usd - own else limit_of_all_usd - everybody end)::text,
                'retry_in_s', case when whose = 'own' and worst_usd <= limit_usd then ceil(extract(epoch from oldest - since)) end);
        end if;
    end if;
    insert into usage (id, caller, kind, model_id, counted_usd, is_limited)
    values (usage_id, for_caller, for_kind, for_model, worst_usd, limit_usd is not null);
    return jsonb_build_object('granted', true);
end
$$;

-- Put the real figures in place of the worst case, once. Without a known cost the worst case goes on counting.
create function public.settle_ai_call(
    usage_id uuid, call_outcome text, by_model text, now_counted_usd numeric, known_usd numeric, tokens_in bigint, tokens_out bigint
) returns boolean
language sql volatile
set search_path = ai, public
as $$
    with settled as (
        update usage
        set outcome = call_outcome,
            model_id = coalesce(by_model, model_id),
            counted_usd = coalesce(now_counted_usd, counted_usd),
            cost_usd = known_usd,
            input_tokens = tokens_in,
            output_tokens = tokens_out,
            settled_at = clock_timestamp()
        where id = usage_id and outcome = 'open'
        returning 1
    )
    select exists (select from settled)
$$;

create function public.sum_ai_usage(since timestamptz default null, until timestamptz default null) returns jsonb
language sql stable
set search_path = ai, public
as $$
    select jsonb_build_object('input_tokens', coalesce(sum(input_tokens), 0), 'output_tokens', coalesce(sum(output_tokens), 0),
        'requests', count(*), 'cost_usd', coalesce(sum(cost_usd), 0))
    from usage
    where (since is null or created_at >= since) and (until is null or created_at < until)
$$;

create function public.list_ai_usage(since timestamptz, until timestamptz, most integer, skip integer) returns jsonb
language sql stable
set search_path = ai, public
as $$
    with chosen as (
        select * from usage where (since is null or created_at >= since) and (until is null or created_at < until)
    ),
    page as (
        select * from chosen order by created_at desc, id limit most offset skip
    )
    select jsonb_build_object(
        'total', (select count(*) from chosen),
        'records', coalesce((select jsonb_agg(to_jsonb(page) order by created_at desc, id) from page), '[]'))
$$;

-- The conversation over HTTP: a caller names its events, so that it may send one again. The name is known for a month.
create table public.http_events (
    chat text not null,
    name text not null check (length(name) between 1 and 64),
    update_id bigint not null,
    digest text not null,
    created_at timestamptz not null default now(),
    primary key (chat, name)
);
comment on table public.http_events is 'Which event of the inbox a caller''s own name stands for.';
alter table public.http_events enable row level security;
revoke all on public.http_events from public, anon, authenticated;
grant select, insert, delete on public.http_events to project_admin;
create policy service on public.http_events to project_admin using (true) with check (true);
create index http_events_of_day on public.http_events (chat, created_at);

-- Store an event under its caller's name, once, if its conversation has not had too many of a day. Tells which event the name stands for, the
-- digest of what was sent with it first, and whether the event is still kept.
create function public.receive_named_event(event_name text, event jsonb, event_digest text, most_a_day integer) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    of_chat constant text := event ->> 'chat';
    known http_events;
begin
    delete from http_events where chat = of_chat and created_at < now() - interval '30 days';
    if not exists (select from http_events where chat = of_chat and name = event_name) then
        perform pg_advisory_xact_lock(hashtextextended('http_events ' || of_chat, 0));
        if (select count(*) from http_events where chat = of_chat and created_at > now() - interval '1 day') >= most_a_day then
            return jsonb_build_object('is_refused', true, 'retry_in_s', (
                select ceil(extract(epoch from min(created_at) + interval '1 day' - now()))
                from http_events where chat = of_chat and created_at > now() - interval '1 day'));
        end if;
    end if;
    insert into http_events (chat, name, update_id, digest)
    values (of_chat, event_name, (event ->> 'update_id')::bigint, event_digest)
    on conflict do nothing
    returning * into known;
    if found then
        perform receive_updates(jsonb_build_array(event));
    else
        select * into strict known from http_events where chat = of_chat and name = event_name;
    end if;
    return jsonb_build_object('update_id', known.update_id, 'digest', known.digest,
        'kept', exists (select from inbox i where i.source = event ->> 'source' and i.update_id = known.update_id));
end
$$;

-- Replies that were not acknowledged yet, oldest first.
create function public.waiting_replies(for_source text, for_chat text, most integer) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(jsonb_build_object('id', id, 'update_id', update_id, 'seq', seq, 'chat', chat, 'reply', payload) order by id), '[]')
    from (select * from outbox where source = for_source and chat = for_chat and status = 'pending' order by id limit most) as waiting
$$;

-- The person has seen every reply up to this one. Returns how many that were new.
create function public.acknowledge_replies(for_source text, for_chat text, through bigint) returns integer
language sql volatile
set search_path = public
as $$
    with seen as (
        update outbox set status = 'sent', sent_at = clock_timestamp(), error = null
        where source = for_source and chat = for_chat and status = 'pending' and id <= through
        returning 1
    )
    select count(*)::integer from seen
$$;

-- An account of this server is a person of the coach too: the row of users whose local name bears the account's id. The function reads that
-- row with its owner's rights, because whose row it is decides what the caller may read.
create or replace function dealquest.current_user_id() returns bigint
language sql stable security definer
set search_path = ''
as $$
    -- A subject that is nobody of ours is nobody, never an error.
    select case
        when subject ~ '^[1-9][0-9]{0,17}$' then subject::bigint
        when subject is not null then (select u.id from public.users u where u.local_name = 'account:' || subject)
    end
    from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' as subject) as claims
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace
            and p.proname in ('reserve_ai_call', 'settle_ai_call', 'sum_ai_usage', 'list_ai_usage',
                'receive_named_event', 'waiting_replies', 'acknowledge_replies')
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;
