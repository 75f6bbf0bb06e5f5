-- Accounts of the HTTP adapter: users, sessions, sign-in tries, keys, and what every policy may ask about the caller.
-- The tables live in a schema that PostgREST does not expose; the functions are the only way in, for the service role alone.
-- They are SECURITY INVOKER: they do what project_admin may do, no more. Passwords come hashed, tokens and keys as SHA-256.

create schema accounts;
grant usage on schema accounts to project_admin;

create table accounts.users (
    id uuid primary key default gen_random_uuid(),
    email text not null unique check (email = lower(email) and length(email) <= 254),
    password text,
    email_verified boolean not null default false,
    profile jsonb not null default '{}' check (jsonb_typeof(profile) = 'object' and pg_column_size(profile) <= 65536),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    is_project_admin boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index users_by_age on accounts.users (created_at, id);

create table accounts.config (
    id boolean primary key default true check (id),
    require_email_verification boolean not null default false,
    password_min_length integer not null default 6 check (password_min_length between 4 and 128),
    require_number boolean not null default false,
    require_lowercase boolean not null default false,
    require_uppercase boolean not null default false,
    require_special_char boolean not null default false,
    verify_email_method text not null default 'code' check (verify_email_method in ('code', 'link')),
    reset_password_method text not null default 'code' check (reset_password_method in ('code', 'link')),
    sign_in_redirect_to text,
    disable_signup boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
insert into accounts.config default values;

-- A session is a family of refresh tokens: each is good once and is followed by the next.
create table accounts.sessions (
    id uuid primary key,
    user_id uuid not null references accounts.users on delete cascade,
    kind text not null check (kind in ('user', 'admin')),
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
create index sessions_of_user on accounts.sessions (user_id);

create table accounts.refresh_tokens (
    token_hash text primary key,
    session_id uuid not null references accounts.sessions on delete cascade,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_tokens_of_session on accounts.refresh_tokens (session_id);
create index refresh_tokens_by_end on accounts.refresh_tokens (expires_at);

-- Tries at a door, by what is tried (hashed, as it may be a password typed into the wrong field) and by address.
create table accounts.tries (
    door text not null,
    subject text not null,
    failures integer not null default 0,
    pending integer not null default 0,
    pending_until timestamptz not null default now(),
    until timestamptz not null,
    primary key (door, subject)
);
create index tries_by_end on accounts.tries (until);

create table accounts.api_keys (
    key_hash text primary key,
    created_at timestamptz not null default now(),
    expires_at timestamptz
);

do $$
declare
    name text;
begin
    foreach name in array array['users', 'config', 'sessions', 'refresh_tokens', 'tries', 'api_keys'] loop
        execute format('alter table accounts.%I enable row level security', name);
        execute format('revoke all on accounts.%I from public, anon, authenticated', name);
        execute format('grant select, insert, update, delete on accounts.%I to project_admin', name);
        execute format('create policy service on accounts.%I to project_admin using (true) with check (true)', name);
    end loop;
end
$$;

create function accounts.iso(moment timestamptz) returns text
language sql immutable
set search_path = ''
as $$
    select to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

create function accounts.show_user(u accounts.users) returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', u.id, 'email', u.email, 'emailVerified', u.email_verified,
        'providers', case when u.password is null then '[]'::jsonb else '["email"]'::jsonb end,
        'createdAt', accounts.iso(u.created_at), 'updatedAt', accounts.iso(u.updated_at),
        'profile', u.profile, 'metadata', u.metadata)
$$;

-- Room for one more try, or the seconds until there is. A try under way counts, so that many at once do not slip through;
-- one whose worker died is forgotten after a minute.
create function accounts.begin_try(at_door text, of_subject text, max_failures integer, window_s integer) returns double precision
language plpgsql volatile
set search_path = ''
as $$
declare
    tried accounts.tries;
begin
    insert into accounts.tries as t (door, subject, until)
    values (at_door, of_subject, clock_timestamp() + make_interval(secs => window_s))
    on conflict (door, subject) do update
    set failures = case when t.until < clock_timestamp() then 0 else t.failures end,
        pending = case when t.pending_until < clock_timestamp() then 0 else t.pending end,
        until = case when t.until < clock_timestamp() then excluded.until else t.until end
    returning * into tried;
    if tried.failures >= max_failures then
        return greatest(1, extract(epoch from tried.until - clock_timestamp()));
    end if;
    if tried.failures + tried.pending >= max_failures then
        return 1;
    end if;
    update accounts.tries
    set pending = pending + 1, pending_until = clock_timestamp() + interval '1 minute'
    where door = at_door and subject = of_subject;
    return 0;
end
$$;

-- The try is over. A failure counts for the whole window; a success clears the account's failures, never the address's.
create function accounts.end_try(at_door text, of_subject text, failed boolean, clears boolean) returns void
language sql volatile
set search_path = ''
as $$
    update accounts.tries
    set pending = greatest(0, pending - 1), failures = case when failed then failures + 1 when clears then 0 else failures end
    where door = at_door and subject = of_subject
$$;

create function accounts.hide(subject text) returns text
language sql immutable
set search_path = ''
as $$
    select encode(sha256(convert_to(subject, 'UTF8')), 'hex')
$$;

create function public.account_begin_sign_in(for_email text, from_address text, at_door text default 'sign_in') returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    waiting double precision;
    found accounts.users;
begin
    delete from accounts.tries
    where (door, subject) in (select door, subject from accounts.tries where until < clock_timestamp() - interval '1 minute' limit 20 for update skip locked);
    waiting := accounts.begin_try(at_door || ':address', from_address, 20, 900);
    if waiting > 0 then
        return jsonb_build_object('wait_s', waiting);
    end if;
    waiting := accounts.begin_try(at_door || ':account', accounts.hide(for_email), 5, 900);
    if waiting > 0 then
        perform accounts.end_try(at_door || ':address', from_address, false, false);
        return jsonb_build_object('wait_s', waiting);
    end if;
    select * into found from accounts.users where email = for_email;
    return jsonb_build_object(
        'wait_s', 0, 'password', found.password, 'is_admin', coalesce(found.is_project_admin, false),
        'user', case when found.id is not null then accounts.show_user(found) end);
end
$$;

create function public.account_end_sign_in(for_email text, from_address text, succeeded boolean, at_door text default 'sign_in') returns void
language sql volatile
set search_path = ''
as $$
    select accounts.end_try(at_door || ':address', from_address, not succeeded, false);
    select accounts.end_try(at_door || ':account', accounts.hide(for_email), not succeeded, true);
$$;

-- The password was never looked at: the try is given back.
create function public.account_drop_sign_in(for_email text, from_address text, at_door text default 'sign_in') returns void
language sql volatile
set search_path = ''
as $$
    select accounts.end_try(at_door || ':address', from_address, false, false);
    select accounts.end_try(at_door || ':account', accounts.hide(for_email), false, false);
$$;

-- How many accounts one address may make: each one counts.
create function public.account_begin_sign_up(from_address text) returns double precision
language plpgsql volatile
set search_path = ''
as $$
declare
    waiting double precision := accounts.begin_try('sign_up:address', from_address, 50, 900);
begin
    if waiting = 0 then
        perform accounts.end_try('sign_up:address', from_address, true, false);
    end if;
    return waiting;
end
$$;

-- Null where the address is taken.
create function public.account_create(for_email text, password_hash text, with_profile jsonb default '{}') returns jsonb
language sql volatile
set search_path = ''
as $$
    insert into accounts.users as u (email, password, profile)
    values (for_email, password_hash, with_profile)
    on conflict (email) do nothing
    returning accounts.show_user(u)
$$;

create function public.account_find(user_id uuid) returns jsonb
language sql stable
set search_path = ''
as $$
    select accounts.show_user(u) from accounts.users u where u.id = user_id
$$;

create function public.account_list(most integer, skipped integer, search text default '') returns jsonb
language sql stable
set search_path = ''
as $$
    with matching as (
        select u from accounts.users u
        where search = '' or strpos(lower(u.email), lower(search)) > 0 or strpos(lower(coalesce(u.profile ->> 'name', '')), lower(search)) > 0
    )
    select jsonb_build_object(
        'total', (select count(*) from matching),
        'data', coalesce((
            select jsonb_agg(accounts.show_user(page.u) order by (page.u).created_at desc, (page.u).id)
            from (select u from matching order by (u).created_at desc, (u).id limit most offset skipped) as page), '[]'))
$$;

create function public.account_delete(user_ids uuid[]) returns integer
language sql volatile
set search_path = ''
as $$
    with gone as (delete from accounts.users where id = any(user_ids) and not is_project_admin returning 1)
    select count(*)::integer from gone
$$;

-- Keys of the profile are merged one by one; a key set to null is kept as null.
create function public.account_update_profile(user_id uuid, changes jsonb) returns jsonb
language sql volatile
set search_path = ''
as $$
    update accounts.users u
    set profile = u.profile || changes, updated_at = now()
    where u.id = user_id
    returning jsonb_build_object('id', u.id, 'profile', u.profile)
$$;

create function public.account_config() returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', '00000000-0000-0000-0000-000000000001', 'requireEmailVerification', c.require_email_verification,
        'passwordMinLength', c.password_min_length, 'requireNumber', c.require_number, 'requireLowercase', c.require_lowercase,
        'requireUppercase', c.require_uppercase, 'requireSpecialChar', c.require_special_char, 'verifyEmailMethod', c.verify_email_method,
        'resetPasswordMethod', c.reset_password_method, 'signInRedirectTo', c.sign_in_redirect_to, 'disableSignup', c.disable_signup,
        'createdAt', accounts.iso(c.created_at), 'updatedAt', accounts.iso(c.updated_at))
    from accounts.config c
$$;

-- Changes by the clients' names; a name that is absent stays as it was.
create function public.account_update_config(changes jsonb) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
begin
    update accounts.config c
    set require_email_verification = coalesce((changes ->> 'requireEmailVerification')::boolean, c.require_email_verification),
        password_min_length = coalesce((changes ->> 'passwordMinLength')::integer, c.password_min_length),
        require_number = coalesce((changes ->> 'requireNumber')::boolean, c.require_number),
        require_lowercase = coalesce((changes ->> 'requireLowercase')::boolean, c.require_lowercase),
        require_uppercase = coalesce((changes ->> 'requireUppercase')::boolean, c.require_uppercase),
        require_special_char = coalesce((changes ->> 'requireSpecialChar')::boolean, c.require_special_char),
        verify_email_method = coalesce(changes ->> 'verifyEmailMethod', c.verify_email_method),
        reset_password_method = coalesce(changes ->> 'resetPasswordMethod', c.reset_password_method),
        sign_in_redirect_to = case when changes ? 'signInRedirectTo' then changes ->> 'signInRedirectTo' else c.sign_in_redirect_to end,
        disable_signup = coalesce((changes ->> 'disableSignup')::boolean, c.disable_signup),
        updated_at = now();
    return public.account_config();
end
$$;

create function public.account_open_session(session_id uuid, user_id uuid, kind text, token_hash text, expires_at timestamptz) returns void
language sql volatile
set search_path = ''
as $$
    -- Families whose last token ran out go with the tokens.
    delete from accounts.sessions s
    where s.id in (
        select old.session_id from accounts.refresh_tokens old
        where old.expires_at < now()
            and not exists (select from accounts.refresh_tokens live where live.session_id = old.session_id and live.expires_at >= now())
        limit 20);
    insert into accounts.sessions (id, user_id, kind) values (session_id, user_id, kind);
    insert into accounts.refresh_tokens (token_hash, session_id, expires_at) values (token_hash, session_id, expires_at);
$$;

-- One token for the next. `outcome`: rotated · reused (the whole family is ended) · racing (used a moment ago; nothing is ended) · unknown.
create function public.account_rotate_session(
    old_hash text, new_hash text, new_expires_at timestamptz, of_kind text, race_s double precision default 0
) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    old accounts.refresh_tokens;
    family accounts.sessions;
    owner accounts.users;
begin
    select t.* into old from accounts.refresh_tokens t where t.token_hash = old_hash for update;
    if old.token_hash is null then
        return jsonb_build_object('outcome', 'unknown');
    end if;
    select s.* into family from accounts.sessions s where s.id = old.session_id for update;
    if family.id is null or family.ended_at is not null or family.kind <> of_kind or old.expires_at < clock_timestamp() then
        return jsonb_build_object('outcome', 'unknown');
    end if;
    if old.used_at is not null then
        if old.used_at > clock_timestamp() - make_interval(secs => race_s) then
            return jsonb_build_object('outcome', 'racing');
        end if;
        update accounts.sessions set ended_at = clock_timestamp() where id = family.id;
        return jsonb_build_object('outcome', 'reused', 'session_id', family.id);
    end if;
    select u.* into owner from accounts.users u where u.id = family.user_id;
    update accounts.refresh_tokens set used_at = clock_timestamp() where token_hash = old_hash;
    insert into accounts.refresh_tokens (token_hash, session_id, expires_at) values (new_hash, family.id, new_expires_at);
    return jsonb_build_object(
        'outcome', 'rotated', 'session_id', family.id, 'is_admin', owner.is_project_admin, 'user', accounts.show_user(owner));
end
$$;

create function public.account_end_session(of_token_hash text) returns void
language sql volatile
set search_path = ''
as $$
    update accounts.sessions s set ended_at = now()
    from accounts.refresh_tokens t
    where t.token_hash = of_token_hash and s.id = t.session_id and s.ended_at is null
$$;

create function public.account_end_sessions(of_user_id uuid) returns void
language sql volatile
set search_path = ''
as $$
    update accounts.sessions set ended_at = now() where user_id = of_user_id and ended_at is null
$$;

create function public.account_knows_api_key(key_hash text) returns boolean
language sql stable
set search_path = ''
as $$
    select exists (
        select from accounts.api_keys k
        where k.key_hash = account_knows_api_key.key_hash and (k.expires_at is null or k.expires_at > now()))
$$;

create function public.account_state() returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'has_admin', exists (select from accounts.users where is_project_admin), 'has_key', exists (select from accounts.api_keys))
$$;

-- Makes the admin, and the first API key where there is none. Says what is new, so that it can be shown once.
create function public.account_prepare(admin_email text, admin_password text, first_key_hash text) returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    admin_is_new boolean;
    key_is_new boolean;
begin
    perform pg_advisory_xact_lock(hashtextextended('account_prepare', 0));
    insert into accounts.users (id, email, password, email_verified, is_project_admin, profile)
    values ('00000000-0000-0000-0000-000000000001', admin_email, admin_password, true, true, '{"name": "Administrator"}')
    on conflict do nothing;
    admin_is_new := found;
    insert into accounts.api_keys (key_hash) select first_key_hash where not exists (select from accounts.api_keys);
    key_is_new := found;
    return jsonb_build_object('admin_is_new', admin_is_new, 'key_is_new', key_is_new);
end
$$;

-- What gets around the policies of the exposed schema for a caller who is not the admin: one line each, for the start of a server.
create function public.account_audit_rights() returns table (object text, problem text)
language sql stable
set search_path = ''
as $$
    with callers(role) as (values ('anon'), ('authenticated')),
    open_relations as (
        select c.oid, c.relkind, c.relrowsecurity, c.reloptions
        from pg_catalog.pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
            and exists (select from callers where has_table_privilege(role, c.oid, 'select, insert, update, delete')
                or has_any_column_privilege(role, c.oid, 'select, insert, update'))
    )
    select oid::regclass::text, 'table without row-level security'
    from open_relations where relkind in ('r', 'p') and not relrowsecurity
    union all
    select oid::regclass::text, 'view with its owner''s rights; set security_invoker'
    from open_relations where relkind = 'v' and not coalesce(reloptions::text ~ 'security_invoker=(true|on|1)', false)
    union all
    select oid::regclass::text, 'materialised view or foreign table, which no policy guards'
    from open_relations where relkind in ('m', 'f')
    union all
    select p.oid::regprocedure::text, 'function with its owner''s rights (security definer)'
    from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.prosecdef
        and exists (select from callers where has_function_privilege(role, p.oid, 'execute'))
    union all
    select pol.polrelid::regclass::text, 'policy ' || pol.polname || ' names no role (TO), so it counts for anon'
    from pg_catalog.pg_policy pol
    join open_relations r on r.oid = pol.polrelid
    where 0 = any(pol.polroles) and pol.polpermissive
    order by 1, 2
$$;

do $$
declare
    signature regprocedure;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = 'accounts'::regnamespace or (p.pronamespace = 'public'::regnamespace and p.proname like 'account\_%')
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;

-- What policies of the operator's own tables ask: the names that the InsForge and Supabase clients' schemas use.
-- A server that has such a schema already keeps its own.
do $outer$
begin
    if to_regnamespace('auth') is not null then
        return;
    end if;
    create schema auth;
    grant usage on schema auth to anon, authenticated, project_admin;

    create function auth.jwt() returns jsonb language sql stable set search_path = ''
    as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;

    -- A subject that is no uuid, such as a Telegram user's number, is nobody here, never an error.
    create function auth.uid() returns uuid language sql stable set search_path = ''
    as $$
        select case when claims ->> 'sub' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (claims ->> 'sub')::uuid end
        from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb as claims) as caller
    $$;

    create function auth.subject() returns text language sql stable set search_path = ''
    as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' $$;

    create function auth.role() returns text language sql stable set search_path = ''
    as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;

    create function auth.email() returns text language sql stable set search_path = ''
    as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email' $$;
end
$outer$;
