-- Role-play, spaced practice, generated scenarios, badges, and what is remembered of a user.

alter table public.attempts
    drop constraint attempts_mode_check,
    add constraint attempts_mode_check check (mode in ('learn', 'train', 'roleplay'));

-- One card for each part of selling: when it is due again, by the FSRS library's numbers.
create table public.skill_cards (
    user_id bigint not null references public.users on delete cascade,
    area text not null check (length(area) <= 32),
    stability double precision not null check (stability > 0),
    difficulty double precision not null,
    due timestamptz not null,
    last_review timestamptz not null,
    reviews integer not null default 1 check (reviews > 0),
    primary key (user_id, area)
);

create table public.badges (
    user_id bigint not null references public.users on delete cascade,
    badge text not null check (length(badge) <= 32),
    earned_at timestamptz not null default now(),
    primary key (user_id, badge)
);

-- The conversation with a persona while it lasts; its attempt keeps the seller's lines, and this row goes.
create table public.roleplays (
    user_id bigint primary key references public.users on delete cascade,
    scenario_id text not null,
    lines jsonb not null check (jsonb_typeof(lines) = 'array' and octet_length(lines::text) <= 65536),
    updated_at timestamptz not null default now()
);

-- Scenarios that a model wrote for everybody; `version` grows with every one, so that a cache knows when it is old.
create sequence public.generated_versions;
create table public.generated_scenarios (
    id text primary key check (id ~ '^gen_[a-z0-9]{8}$'),
    language text not null check (length(language) <= 16),
    scenario jsonb not null check (jsonb_typeof(scenario) = 'object' and octet_length(scenario::text) <= 65536),
    times_used integer not null default 0 check (times_used >= 0),
    mean_score double precision,
    version bigint not null default nextval('public.generated_versions'),
    created_at timestamptz not null default now()
);
create index generated_by_language on public.generated_scenarios (language, version);

-- What became of each time a model wrote scenarios: how many were kept, and why the others were refused.
create table public.generator_runs (
    id bigint generated always as identity primary key,
    model text not null default '',
    kept integer not null check (kept >= 0),
    refused jsonb not null default '[]' check (octet_length(refused::text) <= 16384),
    created_at timestamptz not null default now()
);

do $$
declare
    name text;
begin
    foreach name in array array['skill_cards', 'badges', 'roleplays', 'generated_scenarios', 'generator_runs'] loop
        execute format('alter table public.%I enable row level security', name);
        execute format('revoke all on public.%I from public, anon, authenticated', name);
        execute format('grant select, insert, update, delete on public.%I to project_admin', name);
        execute format('create policy service on public.%I to project_admin using (true) with check (true)', name);
        if name not in ('generated_scenarios', 'generator_runs') then
            execute format('grant select on public.%I to authenticated', name);
            execute format(
                'create policy own_rows on public.%I for select to authenticated using (user_id = (select dealquest.current_user_id()))', name);
        end if;
    end loop;
end
$$;
grant usage on sequence public.generated_versions, public.generator_runs_id_seq to project_admin;

-- Memory is computed from what is stored, so forgetting must last: nothing before this moment is looked at again.
alter table public.users add column remembered_from timestamptz not null default 'epoch';
alter table public.user_memory add constraint user_memory_is_small check (octet_length(memory::text) <= 16384);

-- Owner's rights: a person may delete their memory through the API, and may not change this column in any other way.
create function dealquest.note_forgotten() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
    update public.users set remembered_from = clock_timestamp() where id = old.user_id;
    delete from public.skill_cards where user_id = old.user_id;
    return null;
end
$$;
revoke all on function dealquest.note_forgotten() from public;
create trigger forgotten after delete on public.user_memory for each row execute function dealquest.note_forgotten();

-- How many points of each part of selling were reached, in a user's newest answers of some days.
create function dealquest.areas_of(of_user bigint, since timestamptz, most integer) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(jsonb_build_object('area', area, 'score', score, 'max', points, 'answers', answers) order by area), '[]')
    from (
        select item ->> 'area' as area, sum((item ->> 'score')::integer) as score, sum((item ->> 'max')::integer) as points,
            count(distinct newest.id) as answers
        from (
            select a.id, a.feedback_json
            from attempts a join users u on u.id = a.user_id
            where a.user_id = of_user and a.created_at >= greatest(since, u.remembered_from)
            order by a.created_at desc
            limit most) as newest,
            jsonb_array_elements(newest.feedback_json -> 'criteria') as item
        group by item ->> 'area') as by_area
$$;
revoke all on function dealquest.areas_of(bigint, timestamptz, integer) from public;
grant execute on function dealquest.areas_of(bigint, timestamptz, integer) to project_admin;

-- What a graded answer and the next choice need: cards, badges, and (when asked) the week by area.
create function public.look_skills(of_user bigint, with_week boolean default false) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'cards', coalesce((
            select jsonb_agg(jsonb_build_object('area', area, 'stability', stability, 'difficulty', difficulty, 'due', due,
                'last_review', last_review) order by area)
            from skill_cards c where c.user_id = of_user), '[]'),
        'badges', coalesce((
            select jsonb_agg(jsonb_build_object('badge', badge, 'earned_at', earned_at) order by earned_at, badge)
            from badges b where b.user_id = of_user), '[]'),
        'week', case when with_week then dealquest.areas_of(of_user, now() - interval '7 days', 50) else '[]' end,
        'writes_at', case when with_week then (select held_until from leases where name = 'generated scenarios') end)
$$;

create function public.look_roleplay(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object('scenario_id', scenario_id, 'lines', lines) from roleplays r where r.user_id = of_user
$$;

create function public.look_memory(of_user bigint, pass_mark integer default 60) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object(
        'memory', (select memory from user_memory m where m.user_id = of_user),
        'areas', dealquest.areas_of(of_user, 'epoch', 30),
        'attempts', coalesce((
            select jsonb_agg(jsonb_build_object('at', created_at, 'mode', mode, 'what', scenario_id, 'score', score, 'difficulty', difficulty,
                'words', array_length(regexp_split_to_array(trim(answer), '\s+'), 1),
                'missed', (
                    select coalesce(jsonb_agg(item ->> 'name'), '[]') from jsonb_array_elements(feedback_json -> 'criteria') as item
                    where 2 * (item ->> 'score')::integer < (item ->> 'max')::integer)) order by created_at desc)
            from (
                select a.* from attempts a
                where a.user_id = of_user and a.created_at >= u.remembered_from
                order by a.created_at desc limit 30) as newest), '[]'),
        'sessions', coalesce((
            select jsonb_agg(jsonb_build_object('at', created_at, 'mode', 'support', 'variant', variant,
                'what', coalesce(output_json -> 'analysis' ->> 'key_concern', ''),
                'prospect', coalesce(output_json -> 'analysis' ->> 'prospect_type', '')) order by created_at desc)
            from (
                select s.* from support_sessions s
                where s.user_id = of_user and s.status in ('answered', 'offline') and s.created_at >= u.remembered_from
                order by s.created_at desc limit 20) as newest), '[]'),
        'counts', coalesce((
            select jsonb_object_agg(mode, times)
            from (
                select mode, count(*) as times from attempts a
                where a.user_id = of_user and a.created_at >= u.remembered_from group by mode
                union all
                select 'support', count(*) from support_sessions s
                where s.user_id = of_user and s.status in ('answered', 'offline') and s.created_at >= u.remembered_from
                having count(*) > 0) as by_mode), '{}'),
        'mean_score', (select avg(score)::double precision from attempts a where a.user_id = of_user and a.created_at >= u.remembered_from),
        'completed', (
            select count(*) from (
                select from attempts a where a.user_id = of_user and a.created_at >= u.remembered_from
                group by scenario_id having max(score) >= pass_mark) as done))
    from users u where u.id = of_user
$$;

-- What is remembered, as it was computed last; a prompt may use it.
create function public.look_remembered(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select memory from user_memory m where m.user_id = of_user
$$;

-- What a model that writes scenarios should know: good cases, by what was learned, without who made them.
create function public.look_casebook_best(of_user bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select coalesce(jsonb_agg(jsonb_build_object('persona_type', persona_type, 'scenario_type', scenario_type, 'industry', industry,
        'seniority', seniority, 'strategy', left(strategy, 200)) order by quality_score desc, id desc), '[]')
    from (select * from casebook where of_user is not null order by quality_score desc, id desc limit 10) as best
$$;

-- Nobody's own rows: the generated scenarios of a language, when they changed since a version; null when not.
create function public.generated_pack(for_language text, known_version bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select case when max(version) > known_version then jsonb_build_object('version', max(version),
        'scenarios', (
            select jsonb_agg(scenario || jsonb_build_object('id', id))
            from (
                select id, scenario from generated_scenarios
                where language = for_language order by created_at desc, id limit 200) as newest)) end
    from generated_scenarios where language = for_language
$$;

-- {cards: [{area, stability, difficulty, due, last_review}]}
create function dealquest_changes.review_skills(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into skill_cards as known (user_id, area, stability, difficulty, due, last_review)
    select of_user, c ->> 'area', (c ->> 'stability')::double precision, (c ->> 'difficulty')::double precision, (c ->> 'due')::timestamptz,
        (c ->> 'last_review')::timestamptz
    from jsonb_array_elements(change -> 'cards') as c
    on conflict (user_id, area) do update
        set stability = excluded.stability, difficulty = excluded.difficulty, due = excluded.due, last_review = excluded.last_review,
            reviews = known.reviews + 1
$$;

-- {badges: [id]}: a badge is earned once.
create function dealquest_changes.earn_badges(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into badges (user_id, badge) select of_user, b from jsonb_array_elements_text(change -> 'badges') as b on conflict do nothing
$$;

-- {scenario_id, lines}: the conversation as it stands.
create function dealquest_changes.keep_roleplay(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into roleplays (user_id, scenario_id, lines) values (of_user, change ->> 'scenario_id', change -> 'lines')
    on conflict (user_id) do update set scenario_id = excluded.scenario_id, lines = excluded.lines, updated_at = now()
$$;

create function dealquest_changes.end_roleplay(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    delete from roleplays where user_id = of_user
$$;

-- {memory}: the whole of it; it was computed from what is stored, so doing it twice is doing it once.
-- {since}: the moment the memory was computed from: one that was forgotten meanwhile is not brought back.
create function dealquest_changes.remember(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into user_memory (user_id, memory)
    select id, change -> 'memory' from users where id = of_user and remembered_from <= (change ->> 'since')::timestamptz
    on conflict (user_id) do update set memory = excluded.memory, updated_at = now()
$$;

create function dealquest_changes.forget_memory(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    -- The row is what the trigger hangs on, so there is always one to delete.
    insert into user_memory (user_id) values (of_user) on conflict do nothing;
    delete from user_memory where user_id = of_user;
end
$$;

-- {every_s, payload}: let this user's lane write scenarios for everybody, if nobody did for so long.
create function dealquest_changes.want_scenarios(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    insert into leases as known (name, holder, held_until)
    values ('generated scenarios', of_user::text, clock_timestamp() + make_interval(secs => (change ->> 'every_s')::double precision))
    on conflict (name) do update set holder = excluded.holder, held_until = excluded.held_until
        where known.held_until < clock_timestamp();
    if found then
        perform dealquest_changes.start_job(of_user, turn,
            jsonb_build_object('kind', 'scenarios', 'key', 'scenarios', 'payload', change -> 'payload'));
    end if;
end
$$;

-- {language, most, model, scenarios: [{id, ...}], refused: [text]}: keep new scenarios, up to `most` of a language, and note the run.
create function dealquest_changes.add_generated(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    stored integer;
begin
    insert into generated_scenarios (id, language, scenario)
    select s ->> 'id', change ->> 'language', s - 'id'
    from jsonb_array_elements(change -> 'scenarios') with ordinality as given (s, place)
    where place <= (change ->> 'most')::integer - (select count(*) from generated_scenarios where language = change ->> 'language')
    on conflict do nothing;
    get diagnostics stored = row_count;
    insert into generator_runs (model, kept, refused) values (change ->> 'model', stored, change -> 'refused');
    delete from generator_runs where id <= (select max(id) - 100 from generator_runs);
end
$$;

-- {scenario_id, score}: one more answer to a generated scenario, and its running mean.
create function dealquest_changes.use_generated(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    update generated_scenarios
    set times_used = times_used + 1,
        mean_score = (coalesce(mean_score, 0) * times_used + (change ->> 'score')::integer) / (times_used + 1)
    where id = change ->> 'scenario_id'
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'dealquest_changes'::regnamespace
            or (p.pronamespace = 'public'::regnamespace
                and p.proname in ('look_skills', 'look_roleplay', 'look_memory', 'look_remembered', 'look_casebook_best', 'generated_pack'))
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;
