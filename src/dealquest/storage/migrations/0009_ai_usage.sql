-- Model calls over HTTP: one row for each, from which a caller's budget is counted too.
-- Only the service role reads and writes here; callers see what the adapter shows them.

create schema ai;
grant usage on schema ai to project_admin;

create table ai.usage (
    id uuid primary key,
    caller text not null check (length(caller) between 1 and 300),
    kind text not null check (kind in ('chat', 'embedding')),
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
create index usage_of_caller on ai.usage (caller, created_at);
create index usage_by_time on ai.usage (created_at desc, id);
comment on table ai.usage is 'A call that was cut off by a crash stays open and counts at its worst case until its day is over.';

alter table ai.usage enable row level security;
revoke all on ai.usage from public, anon, authenticated;
grant select, insert, update on ai.usage to project_admin;
create policy service on ai.usage to project_admin using (true) with check (true);

-- Hold back the worst case of one call, before anything is sent. One call of a caller at a time decides, so two that come together cannot
-- both take what is left for one. A repeat with the same id changes nothing and is told the same.
create function public.reserve_ai_call(
    usage_id uuid, for_caller text, for_kind text, for_model text, worst_usd numeric, limit_usd numeric, window_s double precision
) returns jsonb
language plpgsql volatile
set search_path = ai, public
as $$
declare
    since constant timestamptz := clock_timestamp() - make_interval(secs => window_s);
    counted numeric;
    oldest timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('ai ' || for_caller, 0));
    if exists (select from usage where id = usage_id) then
        return jsonb_build_object('granted', true);
    end if;
    if limit_usd is not null then
        select coalesce(sum(counted_usd), 0), min(created_at) filter (where counted_usd > 0)
        into counted, oldest
        from usage
        where caller = for_caller and created_at > since;
        if counted + worst_usd > limit_usd then
            return jsonb_build_object('granted', false, 'left_usd', greatest(0, limit_usd - counted)::text,
                'retry_in_s', case when worst_usd <= limit_usd then ceil(extract(epoch from oldest - since)) end);
        end if;
    end if;
    insert into usage (id, caller, kind, model_id, counted_usd) values (usage_id, for_caller, for_kind, for_model, worst_usd);
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

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace
            and p.proname in ('reserve_ai_call', 'settle_ai_call', 'sum_ai_usage', 'list_ai_usage')
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;
