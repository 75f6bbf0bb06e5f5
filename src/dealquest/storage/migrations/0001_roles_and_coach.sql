-- Roles, the coach's tables, and who may see what.
-- The runner executes each file once, in order, in one transaction, as the database's owner.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'project_admin'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin noinherit', wanted);
        end if;
    end loop;
end
$$;

-- What every policy asks. A private schema: PostgREST exposes public only.
create schema if not exists dealquest;
grant usage on schema dealquest to anon, authenticated, project_admin;

create or replace function dealquest.current_user_id() returns bigint
language sql stable
set search_path = ''
as $$
    -- A subject that is no number of ours is nobody, never an error.
    select case when subject ~ '^[1-9][0-9]{0,17}$' then subject::bigint end
    from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' as subject) as claims
$$;

create or replace function dealquest.level_of(xp integer) returns integer
language sql immutable
set search_path = ''
as $$
    -- Level n costs n * 200 XP, so level n begins at 100 * n * (n - 1); the same table is in coach.progress.
    select floor((1 + sqrt(1 + xp / 25.0)) / 2)::integer
$$;

create table public.users (
    id bigint generated always as identity primary key,
    telegram_id bigint unique,
    local_name text unique,
    username text,
    first_name text not null default '',
    language text not null default 'en' check (length(language) <= 35),
    time_zone text not null default 'UTC' check (length(time_zone) <= 64),
    provider text not null default 'openrouter',
    model text not null default '',
    uses_shared_key boolean not null default true,
    greeted boolean not null default false,
    total_xp integer not null default 0 check (total_xp >= 0),
    current_level integer not null generated always as (dealquest.level_of(total_xp)) stored,
    streak_days integer not null default 0 check (streak_days >= 0),
    last_graded_on date,
    last_active_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check (num_nonnulls(telegram_id, local_name) >= 1)
);
comment on table public.users is 'One row per person; XP is the sum of xp_ledger, the level follows from it.';

create table public.user_keys (
    id bigint generated always as identity primary key,
    user_id bigint not null references public.users on delete cascade,
    provider text not null,
    sealed_key text not null,
    updated_at timestamptz not null default now(),
    unique (user_id, provider)
);
comment on table public.user_keys is 'A person''s own model keys, sealed by the vault for this owner and provider.';

create table public.user_memory (
    user_id bigint primary key references public.users on delete cascade,
    memory jsonb not null default '{}' check (jsonb_typeof(memory) = 'object' and pg_column_size(memory) <= 65536),
    updated_at timestamptz not null default now()
);

create table public.scenarios_seen (
    user_id bigint not null references public.users on delete cascade,
    scenario_id text not null,
    seen_at timestamptz not null default now(),
    primary key (user_id, scenario_id)
);

create table public.attempts (
    id bigint generated always as identity primary key,
    user_id bigint not null references public.users on delete cascade,
    source text not null,
    update_id bigint not null,
    scenario_id text not null,
    mode text not null check (mode in ('learn', 'train')),
    track_id text,
    level_id text,
    difficulty smallint not null check (difficulty between 1 and 3),
    answer text not null,
    score smallint not null check (score between 0 and 100),
    scorer text not null,
    feedback_json jsonb not null,
    xp_earned integer not null check (xp_earned >= 0),
    created_at timestamptz not null default now(),
    unique (source, update_id)
);
create index attempts_of_user on public.attempts (user_id, created_at desc);
create index attempts_of_scenario on public.attempts (user_id, scenario_id, created_at desc);

create table public.xp_ledger (
    id bigint generated always as identity primary key,
    user_id bigint not null references public.users on delete cascade,
    source text not null,
    update_id bigint not null,
    reason text not null,
    amount integer not null check (amount > 0),
    created_at timestamptz not null default now(),
    unique (source, update_id, reason)
);
create index xp_ledger_of_user on public.xp_ledger (user_id, created_at);
comment on table public.xp_ledger is 'Why XP was earned; one line per update and reason, never changed.';

create table public.track_progress (
    user_id bigint not null references public.users on delete cascade,
    track_id text not null,
    level_id text not null,
    status text not null check (status in ('locked', 'unlocked', 'in_progress', 'completed')),
    best_score smallint not null default 0 check (best_score between 0 and 100),
    attempts_count integer not null default 0 check (attempts_count >= 0),
    completed_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (user_id, track_id, level_id)
);

create table public.support_sessions (
    id bigint generated always as identity primary key,
    user_id bigint not null references public.users on delete cascade,
    input_type text not null check (input_type in ('text', 'voice', 'photo')),
    input_text text not null,
    output_json jsonb not null,
    provider text not null,
    created_at timestamptz not null default now()
);
create index support_sessions_of_user on public.support_sessions (user_id, created_at desc);

create table public.casebook (
    id bigint generated always as identity primary key,
    persona_type text not null,
    scenario_type text not null,
    industry text not null default '',
    seniority text not null default '',
    analysis text not null default '',
    strategy text not null default '',
    tactics text not null default '',
    draft text not null default '',
    quality_score real not null check (quality_score between 0 and 1),
    accepted_first_draft boolean not null default false,
    created_from_user bigint references public.users on delete set null,
    created_at timestamptz not null default now()
);
create index casebook_by_kind on public.casebook (persona_type, scenario_type, quality_score desc);

create table public.dialogue_states (
    source text not null,
    chat text not null,
    user_id bigint not null references public.users on delete cascade,
    state jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (source, chat, user_id)
);

-- The durable conversation: what came in, what was paid for, what goes out.

create table public.inbox (
    source text not null,
    update_id bigint not null,
    chat text not null,
    person text generated always as (coalesce('telegram:' || (payload -> 'user' ->> 'telegram_id'), payload -> 'user' ->> 'local_name')) stored,
    payload jsonb not null,
    status text not null default 'open' check (status in ('open', 'done', 'dead')),
    attempts integer not null default 0,
    failures integer not null default 0,
    worker text,
    lease_until timestamptz,
    error text,
    received_at timestamptz not null default now(),
    done_at timestamptz,
    primary key (source, update_id)
);
create index inbox_open on public.inbox (source, chat, update_id) where status = 'open';
create index inbox_done on public.inbox (done_at) where status = 'done';

create table public.inbox_steps (
    source text not null,
    update_id bigint not null,
    step text not null,
    result jsonb not null,
    created_at timestamptz not null default now(),
    primary key (source, update_id, step),
    foreign key (source, update_id) references public.inbox on delete cascade
);
comment on table public.inbox_steps is 'Results of paid calls, kept until the turn commits, so that a repeat does not pay twice.';

create table public.outbox (
    id bigint generated always as identity primary key,
    source text not null,
    update_id bigint not null,
    seq integer not null,
    chat text not null,
    payload jsonb not null,
    status text not null default 'pending' check (status in ('pending', 'sent', 'dead')),
    attempts integer not null default 0,
    worker text,
    held_until timestamptz,
    not_before timestamptz not null default now(),
    error text,
    sent_ref jsonb,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    unique (source, update_id, seq)
);
create index outbox_pending on public.outbox (source, chat, id) where status = 'pending';
create index outbox_of_chat on public.outbox (source, chat, id desc);

create table public.leases (
    name text primary key,
    holder text not null,
    held_until timestamptz not null
);
comment on table public.leases is 'Who does a job that only one process may do, such as polling one bot.';

-- Row-level security: anon nothing, a person their own rows for reading, the service role everything.

do $$
declare
    name text;
    owner_column text;
begin
    for name, owner_column in
        select * from (values
            ('users', 'id'), ('user_memory', 'user_id'), ('scenarios_seen', 'user_id'), ('attempts', 'user_id'),
            ('xp_ledger', 'user_id'), ('track_progress', 'user_id'), ('support_sessions', 'user_id'),
            ('casebook', null), ('user_keys', null), ('dialogue_states', null), ('inbox', null), ('inbox_steps', null),
            ('outbox', null), ('leases', null)
        ) as tables
    loop
        execute format('alter table public.%I enable row level security', name);
        execute format('revoke all on public.%I from public, anon, authenticated', name);
        execute format('grant select, insert, update, delete on public.%I to project_admin', name);
        execute format('create policy service on public.%I to project_admin using (true) with check (true)', name);
        if owner_column is not null then
            execute format('grant select on public.%I to authenticated', name);
            execute format(
                'create policy own_rows on public.%I for select to authenticated using (%I = (select dealquest.current_user_id()))',
                name, owner_column);
        end if;
    end loop;
end
$$;

grant usage on schema public to anon, authenticated, project_admin;
grant usage on all sequences in schema public to project_admin;

-- The casebook is shared for reading; who created a case is not.
grant select (id, persona_type, scenario_type, industry, seniority, analysis, strategy, tactics, draft, quality_score, created_at)
    on public.casebook to authenticated;
create policy shared_reading on public.casebook for select to authenticated using (true);

-- A person may change how they are addressed, and forget what is remembered; never XP, level or score.
grant update (language, time_zone) on public.users to authenticated;
create policy own_settings on public.users for update to authenticated
    using (id = (select dealquest.current_user_id())) with check (id = (select dealquest.current_user_id()));
grant delete on public.user_memory to authenticated;
create policy forget_me on public.user_memory for delete to authenticated using (user_id = (select dealquest.current_user_id()));
