-- The durable conversation as functions, so that one call is one transaction on every backend that speaks PostgREST.
-- Only the service role may call them. They are SECURITY INVOKER: they do what project_admin may do, no more.

-- Store what came in. An update that is known already changes nothing. Returns how many were new.
create function public.receive_updates(updates jsonb) returns integer
language sql volatile
set search_path = public
as $$
    with stored as (
        insert into inbox (source, update_id, chat, payload)
        select u ->> 'source', (u ->> 'update_id')::bigint, u ->> 'chat', u
        from jsonb_array_elements(updates) as u
        on conflict do nothing
        returning 1
    )
    select count(*)::integer from stored
$$;

-- Take the oldest open update of a chat that nobody works on, and load all that its turn may look at.
-- Returns null when there is nothing to do.
create function public.claim_update(
    for_source text, for_worker text, lease_s double precision, for_chat text default null, for_update_id bigint default null
) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    claimed inbox;
    is_free boolean := false;
    person jsonb;
    who users;
begin
    for claimed in
        select i.*
        from inbox i
        where i.source = for_source
            and (for_chat is null or i.chat = for_chat)
            and (for_update_id is null or i.update_id = for_update_id)
            and i.status = 'open'
            and (i.lease_until is null or i.lease_until < clock_timestamp())
            and not exists (
                select from inbox older
                where older.source = i.source and older.chat = i.chat and older.status = 'open' and older.update_id < i.update_id)
        order by i.received_at, i.update_id
        limit 50
        for update skip locked
    loop
        -- One turn at a time for a chat and for a person, whatever order their updates came in. The lock is asked for first,
        -- so that the look at who is busy, a statement of its own, sees what the last holder committed.
        if pg_try_advisory_xact_lock(hashtextextended(claimed.source || ' ' || coalesce(claimed.person, claimed.chat), 0))
            and not exists (
                select from inbox busy
                where busy.source = claimed.source
                    and (busy.chat = claimed.chat or busy.person = claimed.person)
                    and busy.status = 'open'
                    and busy.lease_until >= clock_timestamp())
        then
            is_free := true;
            exit;
        end if;
    end loop;
    if not is_free then
        return null;
    end if;

    update inbox
    set attempts = attempts + 1, worker = for_worker, lease_until = clock_timestamp() + make_interval(secs => lease_s)
    where source = claimed.source and update_id = claimed.update_id
    returning * into claimed;

    person := claimed.payload -> 'user';
    if person ->> 'telegram_id' is not null then
        insert into users (telegram_id, username, first_name, language)
        values ((person ->> 'telegram_id')::bigint, person ->> 'username', coalesce(person ->> 'first_name', ''), coalesce(person ->> 'language', 'en'))
        on conflict (telegram_id) do update
            set username = excluded.username, first_name = excluded.first_name, last_active_at = now()
        returning * into who;
    else
        insert into users (local_name, first_name, language)
        values (person ->> 'local_name', coalesce(person ->> 'first_name', ''), coalesce(person ->> 'language', 'en'))
        on conflict (local_name) do update set last_active_at = now()
        returning * into who;
    end if;

    return jsonb_build_object(
        'event', claimed.payload,
        'attempts', claimed.attempts,
        'steps', coalesce(
            (select jsonb_object_agg(step, result) from inbox_steps s where s.source = claimed.source and s.update_id = claimed.update_id), '{}'),
        'user', jsonb_build_object(
            'id', who.id, 'first_name', who.first_name, 'language', who.language, 'time_zone', who.time_zone, 'total_xp', who.total_xp,
            'streak_days', who.streak_days, 'last_graded_on', who.last_graded_on, 'greeted', who.greeted),
        'state', (select state from dialogue_states d where d.source = claimed.source and d.chat = claimed.chat and d.user_id = who.id),
        'progress', coalesce(
            (select jsonb_agg(jsonb_build_object('track_id', track_id, 'level_id', level_id, 'status', status, 'best_score', best_score,
                'attempts_count', attempts_count) order by track_id, level_id)
             from track_progress p where p.user_id = who.id), '[]'),
        'seen', coalesce((select jsonb_agg(scenario_id) from scenarios_seen s where s.user_id = who.id), '[]'),
        'bests', coalesce(
            (select jsonb_agg(jsonb_build_object('scenario_id', scenario_id, 'best_score', best, 'last_score', newest, 'attempts', tries))
             from (select scenario_id, max(score) as best, count(*) as tries, (array_agg(score order by id desc))[1] as newest
                   from attempts a where a.user_id = who.id group by scenario_id) as of_scenario), '[]'),
        'recent_scores', coalesce(
            (select jsonb_agg(score order by id desc)
             from (select id, score from attempts a where a.user_id = who.id order by id desc limit 10) as newest), '[]')
    );
end
$$;

-- Keep a claim alive while a slow call runs. False: somebody else has it now.
create function public.renew_lease(for_source text, for_update_id bigint, for_worker text, lease_s double precision) returns boolean
language sql volatile
set search_path = public
as $$
    with kept as (
        update inbox set lease_until = clock_timestamp() + make_interval(secs => lease_s)
        where source = for_source and update_id = for_update_id and status = 'open' and worker = for_worker
        returning 1
    )
    select exists (select from kept)
$$;

-- Keep the result of a paid call until the turn commits. The first result stays.
create function public.save_step(for_source text, for_update_id bigint, for_step text, step_result jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into inbox_steps (source, update_id, step, result)
    values (for_source, for_update_id, for_step, step_result)
    on conflict do nothing
$$;

-- Store a whole turn: state, attempt, ledger, seen, progress, replies, and the update done. Once per update, or not at all.
-- Returns the ids of the stored replies, or null when the update is done already or belongs to another worker.
-- `hold_s` keeps the replies for the worker that commits: it may deliver them at once, and others only after that time.
create function public.commit_turn(turn jsonb) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    of_source constant text := turn ->> 'source';
    of_update constant bigint := (turn ->> 'update_id')::bigint;
    of_user constant bigint := (turn ->> 'user_id')::bigint;
    of_chat text;
    earned integer;
    reply_ids jsonb;
    attempt constant jsonb := nullif(turn -> 'attempt', 'null');
begin
    update inbox
    set status = 'done', done_at = clock_timestamp(), lease_until = null, error = null
    where source = of_source and update_id = of_update and status = 'open' and worker = turn ->> 'worker'
    returning chat into of_chat;
    if not found then
        -- Done already, or the lease went to another worker: nothing of this turn may count.
        -- Done by this very worker: its first call arrived and the answer was lost, so it gets the answer again.
        return (
            select coalesce((select jsonb_agg(o.id order by o.id) from outbox o where o.source = of_source and o.update_id = of_update), '[]')
            from inbox i
            where i.source = of_source and i.update_id = of_update and i.status = 'done' and i.worker = turn ->> 'worker');
    end if;

    insert into dialogue_states (source, chat, user_id, state)
    values (of_source, of_chat, of_user, turn -> 'state')
    on conflict (source, chat, user_id) do update set state = excluded.state, updated_at = now();

    if attempt is not null then
        insert into attempts (user_id, source, update_id, scenario_id, mode, track_id, level_id, difficulty, answer, score, scorer,
            feedback_json, xp_earned)
        values (of_user, of_source, of_update, attempt ->> 'scenario_id', attempt ->> 'mode', attempt ->> 'track_id', attempt ->> 'level_id',
            (attempt ->> 'difficulty')::smallint, attempt ->> 'answer', (attempt ->> 'score')::smallint, attempt ->> 'scorer',
            attempt -> 'card', (attempt ->> 'xp_earned')::integer);
    end if;

    with entries as (
        insert into xp_ledger (user_id, source, update_id, reason, amount)
        select of_user, of_source, of_update, e ->> 'reason', (e ->> 'amount')::integer
        from jsonb_array_elements(turn -> 'xp') as e
        returning amount
    )
    select coalesce(sum(amount), 0) into earned from entries;

    update users
    set total_xp = total_xp + earned,
        greeted = true,
        streak_days = coalesce((turn ->> 'streak_days')::integer, streak_days),
        last_graded_on = coalesce((turn ->> 'graded_on')::date, last_graded_on),
        updated_at = now()
    where id = of_user;

    delete from scenarios_seen
    where user_id = of_user and scenario_id in (select jsonb_array_elements_text(turn -> 'unseen'));

    insert into scenarios_seen (user_id, scenario_id)
    select of_user, s from jsonb_array_elements_text(turn -> 'seen') as s
    on conflict do nothing;

    insert into track_progress as known (user_id, track_id, level_id, status, best_score, attempts_count, completed_at)
    select of_user, p ->> 'track_id', p ->> 'level_id', p ->> 'status', (p ->> 'best_score')::smallint, (p ->> 'attempts_count')::integer,
        case when p ->> 'status' = 'completed' then now() end
    from jsonb_array_elements(turn -> 'progress') as p
    on conflict (user_id, track_id, level_id) do update
        set status = excluded.status,
            best_score = greatest(known.best_score, excluded.best_score),
            attempts_count = excluded.attempts_count,
            completed_at = coalesce(known.completed_at, excluded.completed_at),
            updated_at = now();

    with stored as (
        insert into outbox (source, update_id, seq, chat, payload, worker, held_until)
        select of_source, of_update, (r.position - 1)::integer, of_chat, r.reply, turn ->> 'worker',
            clock_timestamp() + make_interval(secs => coalesce((turn ->> 'hold_s')::double precision, 0))
        from jsonb_array_elements(turn -> 'replies') with ordinality as r (reply, position)
        returning id
    )
    select coalesce(jsonb_agg(id order by id), '[]') into reply_ids from stored;

    delete from inbox_steps where source = of_source and update_id = of_update and step <> 'placeholder';
    return reply_ids;
end
$$;

-- Hand a claim back untouched: the worker stops before it is done.
create function public.release_update(for_source text, for_update_id bigint, for_worker text) returns void
language sql volatile
set search_path = public
as $$
    update inbox set lease_until = null, worker = null
    where source = for_source and update_id = for_update_id and status = 'open' and worker = for_worker
$$;

-- A turn failed: try again later, or set it aside after its last try and tell the user once.
-- Only failures count, not kills: an update that was interrupted twenty times is still worth its answer.
create function public.fail_update(
    for_source text, for_update_id bigint, for_worker text, reason text, retry_in_s double precision, max_failures integer, apology jsonb
) returns text
language plpgsql volatile
set search_path = public
as $$
declare
    failed inbox;
begin
    update inbox
    set status = case when failures + 1 >= max_failures then 'dead' else 'open' end,
        failures = failures + 1,
        error = left(reason, 2000),
        lease_until = clock_timestamp() + make_interval(secs => retry_in_s)
    where source = for_source and update_id = for_update_id and status = 'open' and worker = for_worker
    returning * into failed;
    if not found then
        return 'lost';
    end if;
    if failed.status = 'dead' and apology is not null then
        insert into outbox (source, update_id, seq, chat, payload)
        values (failed.source, failed.update_id, 0, failed.chat, apology)
        on conflict do nothing;
    end if;
    return failed.status;
end
$$;

-- Take replies to deliver: at most one chat's next ones, in order, and never past one that waits.
create function public.claim_replies(for_source text, for_worker text, lease_s double precision, for_chat text default null, most integer default 20)
returns jsonb
language sql volatile
set search_path = public
as $$
    with heads as (
        -- The first pending reply of each chat decides whether the chat may be served now.
        select distinct on (o.chat) o.chat, greatest(o.not_before, o.held_until) as ready_at
        from outbox o
        where o.source = for_source and o.status = 'pending' and (for_chat is null or o.chat = for_chat)
        order by o.chat, o.id
    ),
    chosen as (
        select o.id
        from outbox o join heads h on h.chat = o.chat
        where o.source = for_source and o.status = 'pending' and h.ready_at <= clock_timestamp()
        order by o.id
        limit most
        for update of o skip locked
    ),
    taken as (
        update outbox o
        set worker = for_worker, attempts = attempts + 1, held_until = clock_timestamp() + make_interval(secs => lease_s)
        from chosen c
        where o.id = c.id
        returning o.*
    )
    select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'update_id', t.update_id, 'seq', t.seq, 'chat', t.chat, 'reply', t.payload,
        'attempts', t.attempts,
        'placeholder', (select result from inbox_steps s where s.source = t.source and s.update_id = t.update_id and s.step = 'placeholder'))
        order by t.id), '[]')
    from taken t
$$;

-- The replies to one update, delivered or not; null while its turn is open.
create function public.replies_of(for_source text, for_update_id bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(
        (select jsonb_agg(jsonb_build_object('id', o.id, 'update_id', o.update_id, 'seq', o.seq, 'chat', o.chat, 'reply', o.payload) order by o.id)
         from outbox o where o.source = i.source and o.update_id = i.update_id), '[]')
    from inbox i
    where i.source = for_source and i.update_id = for_update_id and i.status <> 'open'
$$;

create function public.mark_sent(reply_id bigint, for_worker text, reference jsonb default null) returns boolean
language sql volatile
set search_path = public
as $$
    with marked as (
        update outbox set status = 'sent', sent_at = clock_timestamp(), sent_ref = reference, error = null
        where id = reply_id and status = 'pending' and worker = for_worker
        returning 1
    )
    select exists (select from marked)
$$;

create function public.mark_unsent(reply_id bigint, for_worker text, reason text, retry_in_s double precision, give_up boolean) returns boolean
language sql volatile
set search_path = public
as $$
    with marked as (
        update outbox
        set status = case when give_up then 'dead' else 'pending' end,
            error = left(reason, 2000),
            held_until = null,
            not_before = clock_timestamp() + make_interval(secs => retry_in_s)
        where id = reply_id and status = 'pending' and worker = for_worker
        returning 1
    )
    select exists (select from marked)
$$;

-- Take or keep a job that one process does at a time. True while the caller holds it.
-- Whoever takes it over from a holder that went silent also frees what that holder had claimed: it will not come back for it.
create function public.take_lease(lease_name text, by_holder text, lease_s double precision) returns boolean
language plpgsql volatile
set search_path = public
as $$
declare
    former leases;
begin
    insert into leases (name, holder, held_until)
    values (lease_name, by_holder, clock_timestamp() + make_interval(secs => lease_s))
    on conflict do nothing;
    if found then
        return true;
    end if;
    select * into former from leases where name = lease_name for update;
    if former.holder is distinct from by_holder and former.held_until >= clock_timestamp() then
        return false;
    end if;
    update leases
    set holder = by_holder, held_until = clock_timestamp() + make_interval(secs => lease_s)
    where name = lease_name;
    if former.holder <> by_holder then
        update inbox set lease_until = null where status = 'open' and worker = former.holder;
        update outbox set held_until = null where status = 'pending' and worker = former.holder;
    end if;
    return true;
end
$$;

create function public.drop_lease(lease_name text, by_holder text) returns void
language sql volatile
set search_path = public
as $$
    delete from leases where name = lease_name and holder = by_holder
$$;

-- Update ids may start anew after a quiet week, so finished rows are forgotten after a few days; dead ones stay.
create function public.sweep_conversations(keep interval default '3 days') returns integer
language sql volatile
set search_path = public
as $$
    with gone_out as (
        delete from outbox where status = 'sent' and sent_at < now() - keep
    ),
    gone_in as (
        delete from inbox i
        where i.status = 'done' and i.done_at < now() - keep
            and not exists (select from outbox o where o.source = i.source and o.update_id = i.update_id and o.status = 'pending')
        returning 1
    )
    select count(*)::integer from gone_in
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace
            and p.proname in ('receive_updates', 'claim_update', 'renew_lease', 'save_step', 'commit_turn', 'release_update', 'fail_update', 'claim_replies', 'replies_of',
                'mark_sent', 'mark_unsent', 'take_lease', 'drop_lease', 'sweep_conversations')
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;

-- A login that may only take the callers' roles can tell by this whether the schema is up to date.
grant usage on schema system to project_admin;
grant select on system.migrations to project_admin;
