-- A person's account: provider, key, language, reset, export, deletion; and what the operator sees of all of them.

-- A listed name belongs to the first account that showed it, for ever; only the operator takes a claim back, by hand.
create table public.name_claims (
    name text primary key check (name ~ '^[a-z0-9_]{1,32}$'),
    telegram_id bigint not null,
    claimed_at timestamptz not null default now()
);
comment on table public.name_claims is 'Which Telegram id a name of ALLOWED_USERNAMES or ADMIN_USERNAMES admits.';

-- Traces are written a while after their turn, so those of somebody who left may arrive late; a number of nobody is all that is kept.
create table public.forgotten_users (
    id bigint primary key,
    forgotten_at timestamptz not null default now()
);
comment on table public.forgotten_users is 'Numbers of those who deleted everything, so that traces written after their last turn go too.';

do $$
declare
    name text;
begin
    foreach name in array array['name_claims', 'forgotten_users'] loop
        execute format('alter table public.%I enable row level security', name);
        execute format('revoke all on public.%I from public, anon, authenticated', name);
        execute format('grant select, insert, update, delete on public.%I to project_admin', name);
        execute format('create policy service on public.%I to project_admin using (true) with check (true)', name);
    end loop;
end
$$;

create function public.name_owners() returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_object_agg(name, telegram_id), '{}') from name_claims
$$;

-- Give a free name to an id; the id that owns it now, whoever asked first.
create function public.claim_name(wanted text, by_telegram_id bigint) returns bigint
language plpgsql volatile
set search_path = public
as $$
begin
    insert into name_claims (name, telegram_id) values (wanted, by_telegram_id) on conflict do nothing;
    return (select telegram_id from name_claims where name = wanted);
end
$$;

-- Changes of one's own account. Each decides on the rows of `of_user` alone.

-- {provider, sealed_key}: the provider's own default model is used until another is chosen.
create function dealquest_changes.save_key(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into user_keys (user_id, provider, sealed_key)
    values (of_user, change ->> 'provider', change ->> 'sealed_key')
    on conflict (user_id, provider) do update set sealed_key = excluded.sealed_key, updated_at = now();
    update users
    set provider = change ->> 'provider', uses_shared_key = false, model = case when provider = change ->> 'provider' then model else '' end
    where id = of_user
$$;

-- {provider}: use a key of one's own that is stored already; an own key that is not there changes nothing.
create function dealquest_changes.use_own_key(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users
    set provider = change ->> 'provider', uses_shared_key = false, model = case when provider = change ->> 'provider' then model else '' end
    where id = of_user and exists (select from user_keys k where k.user_id = of_user and k.provider = change ->> 'provider')
$$;

-- {}: by reference: the operator's key is never copied.
create function dealquest_changes.use_shared_key(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users set provider = 'openrouter', uses_shared_key = true, model = '' where id = of_user
$$;

-- {}: no model at all, whatever the house offers.
create function dealquest_changes.use_no_model(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users set provider = 'offline', uses_shared_key = false, model = '' where id = of_user
$$;

-- {}: every key of one's own; whoever used one goes back to the house's.
create function dealquest_changes.remove_keys(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    delete from user_keys where user_id = of_user;
    update users set provider = 'openrouter', uses_shared_key = true, model = '' where id = of_user and provider <> 'offline'
$$;

-- {model}
create function dealquest_changes.choose_model(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users set model = change ->> 'model' where id = of_user and not uses_shared_key
$$;

-- {language}
create function dealquest_changes.set_language(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users set language = change ->> 'language' where id = of_user
$$;

-- {time_zone}
create function dealquest_changes.set_time_zone(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update users set time_zone = change ->> 'time_zone' where id = of_user
$$;

-- {}: the game begins anew; keys, settings and deals stay.
create function dealquest_changes.reset_progress(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    delete from attempts where user_id = of_user;
    delete from xp_ledger where user_id = of_user;
    delete from scenarios_seen where user_id = of_user;
    delete from track_progress where user_id = of_user;
    delete from badges where user_id = of_user;
    delete from skill_cards where user_id = of_user;
    delete from roleplays where user_id = of_user;
    perform dealquest_changes.forget_memory(of_user, turn, change);
    update users set total_xp = 0, streak_days = 0, last_graded_on = null where id = of_user;
end
$$;

-- Traces may be written and read by the service role, not deleted; but a person's own wish counts.
create function dealquest.forget_traces(of_users bigint[]) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with gone as (delete from public.pipeline_traces where user_id = any (of_users::text[]) returning trace_id)
    delete from public.pipeline_spans where trace_id in (select trace_id from gone)
$$;

-- {}: everything. What refers to the user's row goes with it; what came in and what went out is looked for by the person.
-- The message being answered stays as a number without words, so that the channel cannot bring it a second time.
create function dealquest_changes.delete_everything(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    leaving users;
    this_source constant text := turn ->> 'source';
    this_update constant bigint := (turn ->> 'update_id')::bigint;
begin
    select * into strict leaving from users where id = of_user for update;

    delete from outbox o
    where exists (
            select from inbox i
            where i.source = o.source and i.update_id = o.update_id
                and (i.payload ->> 'for_user' = of_user::text
                    or i.payload -> 'user' ->> 'telegram_id' = leaving.telegram_id::text
                    or (i.payload -> 'user' ->> 'telegram_id' is null and i.payload -> 'user' ->> 'local_name' = leaving.local_name)))
        or (exists (select from dialogue_states d where d.source = o.source and d.chat = o.chat and d.user_id = of_user)
            and not exists (select from dialogue_states d where d.source = o.source and d.chat = o.chat and d.user_id <> of_user));

    delete from inbox i
    where (i.source, i.update_id) <> (this_source, this_update)
        and (i.payload ->> 'for_user' = of_user::text
            or i.payload -> 'user' ->> 'telegram_id' = leaving.telegram_id::text
            or (i.payload -> 'user' ->> 'telegram_id' is null and i.payload -> 'user' ->> 'local_name' = leaving.local_name));

    -- What could not be made an event of is told by the number inside it.
    delete from updates_set_aside s where s.raw ~ ('"id"\s*:\s*' || leaving.telegram_id || '\M');
    delete from http_events e
    where exists (select from dialogue_states d where d.chat = e.chat and d.user_id = of_user)
        and not exists (select from dialogue_states d where d.chat = e.chat and d.user_id <> of_user);

    update inbox set payload = jsonb_build_object('kind', payload ->> 'kind') where source = this_source and update_id = this_update;

    insert into forgotten_users (id) values (of_user) on conflict do nothing;
    perform dealquest.forget_traces(array[of_user]);
    delete from users where id = of_user;
end
$$;

-- Finished updates and sent replies are forgotten after some days; late traces of those who left go too.
create or replace function public.sweep_conversations(keep interval default '3 days') returns integer
language plpgsql volatile
set search_path = public
as $$
declare
    gone integer;
begin
    delete from outbox where status = 'sent' and sent_at < now() - keep;
    delete from inbox i
    where i.status = 'done' and i.done_at < now() - keep
        and not exists (select from outbox o where o.source = i.source and o.update_id = i.update_id and o.status = 'pending');
    get diagnostics gone = row_count;
    delete from forgotten_users where forgotten_at < now() - interval '90 days';
    if exists (select from forgotten_users) then
        perform dealquest.forget_traces(array(select id from forgotten_users));
    end if;
    return gone;
end
$$;

-- Every row that belongs to a person, table by table: found by the foreign keys that lead to their row and would delete it with them,
-- so that a table of tomorrow is part of the export and of the deletion's list without a change here.
create function dealquest.own_rows(of_user bigint) returns table (relation text, contents jsonb)
language plpgsql stable
set search_path = public
as $$
declare
    found record;
begin
    for found in
        with recursive keys as (
            select c.conrelid, c.confrelid,
                (select string_agg(format('t.%I', a.attname), ', ' order by k.position)
                 from unnest(c.conkey) with ordinality as k (number, position)
                 join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.number) as own_columns,
                (select string_agg(format('t.%I', a.attname), ', ' order by k.position)
                 from unnest(c.confkey) with ordinality as k (number, position)
                 join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.number) as their_columns
            from pg_constraint c
            where c.contype = 'f' and c.confdeltype = 'c' and c.connamespace = 'public'::regnamespace
        ),
        owned (relation, condition, depth) as (
            select 'public.users'::regclass::oid, 't.id = $1' collate "C", 0
            union all
            select k.conrelid,
                format('(%s) in (select %s from %s t where %s)', k.own_columns, k.their_columns, o.relation::regclass, o.condition) collate "C", o.depth + 1
            from owned o
            join keys k on k.confrelid = o.relation and k.conrelid <> o.relation
            where o.depth < 4
        )
        select distinct on (o.relation) c.relname, o.relation::regclass as source, o.condition,
            array(
                select a.attname::text from pg_attribute a
                where a.attrelid = o.relation and (a.attname = 'sealed_key' or a.atttypid = 'tsvector'::regtype)) as hidden
        from owned o
        join pg_class c on c.oid = o.relation
        order by o.relation, o.depth
    loop
        relation := found.relname;
        execute format('select coalesce(jsonb_agg(to_jsonb(t) - $2), ''[]'') from %s t where %s', found.source, found.condition)
            into contents using of_user, found.hidden;
        return next;
    end loop;
end
$$;

-- What came in from a person and waits to be forgotten.
create function dealquest.own_messages(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(jsonb_build_object('at', i.received_at, 'kind', i.payload ->> 'kind', 'text', i.payload ->> 'text') order by i.received_at), '[]')
    from inbox i
    join users u on u.id = of_user
    where i.payload -> 'user' ->> 'telegram_id' = u.telegram_id::text
        or (i.payload -> 'user' ->> 'telegram_id' is null and i.payload -> 'user' ->> 'local_name' = u.local_name)
$$;

create function public.look_my_data(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_object_agg(relation, contents) || jsonb_build_object('messages', dealquest.own_messages(of_user))
    from dealquest.own_rows(of_user)
    where contents <> '[]'
$$;

-- How much there is of what, for the question before it is deleted.
create function public.look_my_footprint(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_object_agg(relation, jsonb_array_length(contents)) || jsonb_build_object('messages', jsonb_array_length(dealquest.own_messages(of_user)))
    from dealquest.own_rows(of_user)
    where contents <> '[]' and relation <> 'users'
$$;

-- What the operator sees. Only the admin's flows name these; what users wrote to models is in none of them.

create function public.look_admin_performance(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    with newest as (select * from pipeline_traces order by start_time desc limit 20)
    select jsonb_build_object(
        'pipelines', coalesce((
            select jsonb_agg(p order by p.runs desc, p.name)
            from (select pipeline_name as name, count(*) as runs, avg(duration_ms) as mean_ms, max(duration_ms) as max_ms,
                    count(*) filter (where status = 'error') as errors
                  from newest group by pipeline_name) as p), '[]'),
        'newest', coalesce((
            select jsonb_agg(t order by t.start_time desc)
            from (select n.trace_id, n.pipeline_name as name, n.duration_ms, n.status, n.start_time, n.cost_usd, u.first_name as who
                  from newest n left join users u on u.id::text = n.user_id
                  order by n.start_time desc limit 10) as t), '[]'))
$$;

create function public.look_admin_trace(of_user bigint, of_trace uuid) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'name', t.pipeline_name, 'status', t.status, 'duration_ms', t.duration_ms, 'start_time', t.start_time, 'cost_usd', t.cost_usd,
        'spans', coalesce((
            select jsonb_agg(s order by s.start_ns)
            from (select span_id, parent_span_id, span_name as name, status, duration_ms, start_ns, model, input_tokens, output_tokens
                  from pipeline_spans where trace_id = of_trace order by start_ns limit 60) as s), '[]'))
    from pipeline_traces t where t.trace_id = of_trace
$$;

create function public.look_admin_team(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'users', (select count(*) from users), 'xp', (select coalesce(sum(total_xp), 0) from users),
        'active', (select count(*) from users where last_active_at > now() - interval '7 days'),
        'providers', coalesce((
            select jsonb_object_agg(name, people)
            from (select case when uses_shared_key then 'shared' else provider end as name, count(*) as people from users group by 1) as p), '{}'),
        'modes', coalesce((select jsonb_object_agg(mode, tries) from (select mode, count(*) as tries from attempts group by mode) as m), '{}'),
        'mean', (select avg(score) from attempts), 'sessions', (select count(*) from support_sessions))
$$;

create function public.look_admin_leaderboard(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(r order by r.mean desc, r.xp desc, r.name), '[]')
    from (
        select u.first_name as name, u.total_xp as xp, u.current_level as level, s.tries, s.mean
        from users u
        join (
            select user_id, max(tries) as tries, avg(score) filter (where place <= 20) as mean
            from (select user_id, score, row_number() over (partition by user_id order by id desc) as place, count(*) over (partition by user_id) as tries
                  from attempts) as numbered
            group by user_id
        ) as s on s.user_id = u.id
        order by s.mean desc, u.total_xp desc
        limit 20
    ) as r
$$;

create function public.look_admin_trends(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    with newest as (select * from attempts order by id desc limit 500),
    week as (select * from newest where created_at > now() - interval '7 days'),
    before as (select * from newest where created_at <= now() - interval '7 days' and created_at > now() - interval '14 days')
    select jsonb_build_object(
        'mean', (select avg(score) from week), 'tries', (select count(*) from week),
        'mean_before', (select avg(score) from before), 'tries_before', (select count(*) from before),
        'scenarios', coalesce((
            select jsonb_agg(s) from (select scenario_id, sum(score) as points, count(*) as tries from newest group by scenario_id) as s), '[]'),
        'top', (
            select to_jsonb(b) from (
                select u.first_name as name, avg(w.score) as mean, count(*) as tries
                from week w join users u on u.id = w.user_id group by u.id order by avg(w.score) desc, count(*) desc limit 1) as b))
$$;

create function public.look_admin_users(of_user bigint, of_page integer) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'all', (select count(*) from users),
        'users', coalesce((
            select jsonb_agg(p order by p.id desc)
            from (select u.id, u.first_name as name, u.username, u.total_xp as xp, u.current_level as level, u.streak_days, u.last_active_at, u.created_at,
                    case when u.uses_shared_key then 'shared' else u.provider end as provider
                  from users u order by u.id desc limit 10 offset 10 * greatest(of_page, 0)) as p), '[]'))
$$;

create function public.look_admin_activity(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(a order by a.id desc), '[]')
    from (select a.id, u.first_name as name, a.mode, a.scenario_id, a.score, a.scorer, a.xp_earned, a.created_at
          from attempts a join users u on u.id = a.user_id order by a.id desc limit 15) as a
$$;

create function public.look_admin_scenarios(of_user bigint) returns jsonb
language plpgsql stable
set search_path = public
as $$
begin
    return jsonb_build_object(
        'answered', coalesce((
            select jsonb_agg(s order by s.tries desc, s.scenario_id)
            from (select scenario_id, max(difficulty) as difficulty, count(*) as tries, avg(score) as mean
                  from attempts group by scenario_id order by count(*) desc, scenario_id limit 20) as s), '[]'),
        'written', (select jsonb_build_object('count', count(*), 'used', coalesce(sum(times_used), 0), 'mean', avg(mean_score)) from generated_scenarios),
        'newest', coalesce((
            select jsonb_agg(g order by g.created_at desc)
            from (select id, times_used, mean_score, created_at from generated_scenarios order by created_at desc limit 10) as g), '[]'),
        'run', (select to_jsonb(r) from (select kept, refused, created_at from generator_runs order by id desc limit 1) as r));
end
$$;

create function public.look_admin_casebook(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(c order by c.id desc), '[]')
    from (select id, persona_type, scenario_type, industry, quality_score, accepted_first_draft, left(strategy, 120) as strategy, created_at
          from casebook order by id desc limit 10) as c
$$;

create function public.look_admin_queue(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'messages', (
            select jsonb_build_object('open', count(*) filter (where status = 'open'), 'done', count(*) filter (where status = 'done'),
                'dead', count(*) filter (where status = 'dead'), 'oldest_s', extract(epoch from now() - min(received_at) filter (where status = 'open')))
            from inbox where not is_job),
        'jobs', (
            select jsonb_build_object('open', count(*) filter (where status = 'open'),
                'due', count(*) filter (where status = 'open' and not_before <= now()), 'dead', count(*) filter (where status = 'dead'),
                'oldest_s', extract(epoch from now() - min(greatest(not_before, received_at)) filter (where status = 'open' and not_before <= now())))
            from inbox where is_job),
        'replies', (
            select jsonb_build_object('open', count(*) filter (where status = 'pending'), 'done', count(*) filter (where status = 'sent'),
                'dead', count(*) filter (where status = 'dead'), 'oldest_s', extract(epoch from now() - min(created_at) filter (where status = 'pending')))
            from outbox),
        'dead', coalesce((
            select jsonb_agg(d order by d.at desc)
            from (
                (select 'message' as what, source, update_id, left(error, 160) as error, received_at as at from inbox where status = 'dead')
                union all
                (select 'reply', source, update_id, left(error, 160), created_at from outbox where status = 'dead')
                order by at desc limit 5
            ) as d), '[]'))
$$;

-- Whether people get better: the mean of the first five answers against the mean of the last five.
create function public.look_admin_improvement(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(r order by r.last - r.first desc, r.name), '[]')
    from (
        select u.first_name as name, max(n.tries) as tries,
            avg(n.score) filter (where n.place <= 5) as first, avg(n.score) filter (where n.place > n.tries - 5) as last
        from (select user_id, score, row_number() over (partition by user_id order by id) as place, count(*) over (partition by user_id) as tries
              from attempts) as n
        join users u on u.id = n.user_id
        group by u.id
        having max(n.tries) >= 5
        limit 50
    ) as r
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'dealquest_changes'::regnamespace
            or (p.pronamespace = 'dealquest'::regnamespace and p.proname in ('forget_traces', 'own_rows', 'own_messages'))
            or (p.pronamespace = 'public'::regnamespace and (p.proname in ('name_owners', 'claim_name', 'sweep_conversations') or p.proname like 'look\_%'))
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;
