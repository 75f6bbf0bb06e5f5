-- What the larger flows stand on: jobs, changes by name inside a turn's transaction, and looks that are bound to one user.

-- A job is an event that the house sends to itself: it has the inbox's leases, steps and retries, and its own lane beside the chat's.
create sequence public.job_numbers;
grant usage on sequence public.job_numbers to project_admin;

alter table public.inbox
    add column is_job boolean not null default false,
    add column job_key text,
    add column not_before timestamptz not null default now();
create unique index inbox_job_key on public.inbox (job_key) where status = 'open' and job_key is not null;
create index inbox_of_user on public.inbox ((payload ->> 'for_user')) where is_job;
comment on column public.inbox.job_key is 'What a job is about; a second open job of the same key replaces the first.';

-- Each kind of change is one function of this schema: (of_user, turn, values). Only the service role may use it, through commit_turn.
create schema dealquest_changes;
grant usage on schema dealquest_changes to project_admin;

-- {kind, payload, run_at?, key?}: do this later, after the turn. Numbers of jobs begin at 2^52, above Telegram's and below the terminal's.
create function dealquest_changes.start_job(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    number constant bigint := 4503599627370496 + nextval('job_numbers');
    lane constant text := 'job:' || of_user;
    person record;
begin
    select first_name, language into strict person from users where id = of_user;
    insert into inbox (source, update_id, chat, is_job, job_key, not_before, payload)
    values (turn ->> 'source', number, lane, true, of_user || ':' || (change ->> 'key'), coalesce((change ->> 'run_at')::timestamptz, now()),
        jsonb_build_object('source', turn ->> 'source', 'chat', lane, 'update_id', number, 'kind', 'job', 'text', change ->> 'kind',
            'user', jsonb_build_object('first_name', person.first_name, 'language', person.language),
            'media', coalesce(nullif(change -> 'payload', 'null'), '{}'), 'for_user', of_user, 'reply_chat', turn ->> 'chat'))
    on conflict (job_key) where status = 'open' and job_key is not null do update
        set not_before = excluded.not_before,
            payload = excluded.payload || jsonb_build_object('update_id', inbox.update_id);
end
$$;

-- {key}: the job of that key is not wanted any more.
create function dealquest_changes.cancel_job(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    delete from inbox where status = 'open' and job_key = of_user || ':' || (change ->> 'key') and (lease_until is null or lease_until < clock_timestamp())
$$;

drop function public.claim_update(text, text, double precision, text, bigint);

-- Take the oldest open update of a chat that nobody works on, and load all that its turn may look at.
-- Returns null when there is nothing to do.
create function public.claim_update(
    for_source text, for_worker text, lease_s double precision, for_chat text default null, for_update_id bigint default null,
    only_jobs boolean default false
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
            and (not only_jobs or i.is_job)
            and i.status = 'open'
            and i.not_before <= clock_timestamp()
            and (i.lease_until is null or i.lease_until < clock_timestamp())
            and not exists (
                select from inbox older
                where older.source = i.source and older.chat = i.chat and older.status = 'open' and older.update_id < i.update_id
                    and older.not_before <= clock_timestamp())
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
    if claimed.is_job then
        select * into who from users where id = (claimed.payload ->> 'for_user')::bigint;
    elsif person ->> 'telegram_id' is not null then
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
            'streak_days', who.streak_days, 'last_graded_on', who.last_graded_on, 'greeted', who.greeted,
            'provider', who.provider, 'model', who.model, 'uses_shared_key', who.uses_shared_key,
            'key_providers', coalesce((select jsonb_agg(provider order by provider) from user_keys k where k.user_id = who.id), '[]')),
        'sealed_keys', coalesce((select jsonb_object_agg(provider, sealed_key) from user_keys k where k.user_id = who.id), '{}'),
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

-- Store a whole turn: state, attempt, ledger, seen, progress, changes, replies, and the update done. Once per update, or not at all.
-- Returns the ids of the stored replies, or null when the update is done already or belongs to another worker.
-- `hold_s` keeps the replies for the worker that commits: it may deliver them at once, and others only after that time.
create or replace function public.commit_turn(turn jsonb) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    of_source constant text := turn ->> 'source';
    of_update constant bigint := (turn ->> 'update_id')::bigint;
    of_user constant bigint := (turn ->> 'user_id')::bigint;
    of_chat text;
    done inbox;
    change jsonb;
    earned integer;
    reply_ids jsonb;
    attempt constant jsonb := nullif(turn -> 'attempt', 'null');
begin
    update inbox
    set status = 'done', done_at = clock_timestamp(), lease_until = null, error = null
    where source = of_source and update_id = of_update and status = 'open' and worker = turn ->> 'worker'
    returning * into done;
    if not found then
        -- Done already, or the lease went to another worker: nothing of this turn may count.
        -- Done by this very worker: its first call arrived and the answer was lost, so it gets the answer again.
        return (
            select coalesce((select jsonb_agg(o.id order by o.id) from outbox o where o.source = of_source and o.update_id = of_update), '[]')
            from inbox i
            where i.source = of_source and i.update_id = of_update and i.status = 'done' and i.worker = turn ->> 'worker');
    end if;

    of_chat := coalesce(done.payload ->> 'reply_chat', done.chat);

    if not done.is_job then
        insert into dialogue_states (source, chat, user_id, state)
        values (of_source, of_chat, of_user, turn -> 'state')
        on conflict (source, chat, user_id) do update set state = excluded.state, updated_at = now();
    end if;

    if (turn ->> 'forget_text')::boolean then
        update inbox set payload = payload || '{"text": ""}' where source = of_source and update_id = of_update;
    end if;

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

    for change in select jsonb_array_elements(coalesce(turn -> 'changes', '[]')) loop
        -- A closed list: only functions of this schema, which nobody but the owner can add to.
        execute format('select dealquest_changes.%I($1, $2, $3)', change ->> 'kind')
            using of_user, turn || jsonb_build_object('chat', of_chat), change -> 'values';
    end loop;

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

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'dealquest_changes'::regnamespace
            or (p.pronamespace = 'public'::regnamespace and p.proname in ('claim_update', 'commit_turn'))
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;
