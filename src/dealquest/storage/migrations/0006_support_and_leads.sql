-- Live deals: support sessions with their variants, the casebook's full-text search, leads with plan and reminders, and the team's notes.

-- Full-text search in the language of the text. A language without a stemmer is searched by its plain words.
create function dealquest.text_config(language text) returns regconfig
language sql immutable parallel safe
set search_path = ''
as $$
    select case split_part(lower(language), '-', 1)
        when 'da' then 'pg_catalog.danish'::regconfig when 'de' then 'pg_catalog.german'::regconfig
        when 'en' then 'pg_catalog.english'::regconfig when 'es' then 'pg_catalog.spanish'::regconfig
        when 'fi' then 'pg_catalog.finnish'::regconfig when 'fr' then 'pg_catalog.french'::regconfig
        when 'hu' then 'pg_catalog.hungarian'::regconfig when 'it' then 'pg_catalog.italian'::regconfig
        when 'nl' then 'pg_catalog.dutch'::regconfig when 'no' then 'pg_catalog.norwegian'::regconfig
        when 'pt' then 'pg_catalog.portuguese'::regconfig when 'ro' then 'pg_catalog.romanian'::regconfig
        when 'ru' then 'pg_catalog.russian'::regconfig when 'sv' then 'pg_catalog.swedish'::regconfig
        when 'tr' then 'pg_catalog.turkish'::regconfig
        else 'pg_catalog.simple'::regconfig
    end
$$;

-- Any of the words of a text, as they are spelt in a language's index; what a user writes is never read as query syntax.
create function dealquest.any_word(of_language text, query text) returns tsquery
language sql immutable parallel safe
set search_path = ''
as $$
    select replace(plainto_tsquery(dealquest.text_config(of_language), left(query, 4000))::text, ' & ', ' | ')::tsquery
$$;

create function dealquest.case_words(language text, kinds text, analysis text, strategy text, rest text) returns tsvector
language sql immutable parallel safe
set search_path = ''
as $$
    select setweight(to_tsvector(dealquest.text_config(language), kinds), 'A') || setweight(to_tsvector(dealquest.text_config(language), analysis), 'B')
        || setweight(to_tsvector(dealquest.text_config(language), strategy), 'C') || setweight(to_tsvector(dealquest.text_config(language), rest), 'D')
$$;

alter table public.casebook
    add column language text not null default 'en' check (length(language) <= 35),
    add column words tsvector not null generated always as (dealquest.case_words(
        language, persona_type || ' ' || scenario_type || ' ' || industry || ' ' || seniority, analysis, strategy, tactics || ' ' || draft)) stored;
create index casebook_words on public.casebook using gin (words);
grant select (language) on public.casebook to authenticated;

create table public.lead_registry (
    id bigint generated always as identity primary key,
    user_id bigint not null references public.users on delete cascade,
    name text not null default '' check (length(name) <= 200),
    title text not null default '' check (length(title) <= 200),
    company text not null default '' check (length(company) <= 200),
    photo jsonb,
    prospect_analysis jsonb not null default '{}',
    closing_strategy jsonb not null default '{}',
    engagement_tactics jsonb not null default '{}',
    draft_response jsonb not null default '{}',
    status text not null default 'analyzed'
        check (status in ('analyzed', 'reached_out', 'meeting_booked', 'in_progress', 'closed_won', 'closed_lost')),
    notes text not null default '' check (length(notes) <= 8000),
    input_type text not null default 'text' check (input_type in ('text', 'voice', 'photo')),
    original_context text not null default '' check (length(original_context) <= 2000),
    web_research text not null default '' check (length(web_research) <= 5000),
    web_sources jsonb not null default '[]',
    engagement_plan jsonb not null default '[]' check (jsonb_typeof(engagement_plan) = 'array'),
    last_contacted timestamptz,
    next_followup timestamptz,
    followup_count integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index lead_registry_of_user on public.lead_registry (user_id, id desc);
comment on table public.lead_registry is 'Prospects of one user; created and merged by what the model extracted, read and changed by their owner alone.';

create table public.lead_activity_log (
    id bigint generated always as identity primary key,
    lead_id bigint not null references public.lead_registry on delete cascade,
    user_id bigint not null references public.users on delete cascade,
    kind text not null check (kind in ('created', 'merged', 'status_changed', 'edited', 'note', 'plan_made', 'step_done', 'step_reopened',
        'context_update', 'ai_advice', 'draft_made', 'screenshot_comment', 'followup_sent')),
    content text not null default '' check (length(content) <= 4000),
    created_at timestamptz not null default now()
);
create index lead_activity_of_lead on public.lead_activity_log (lead_id, id desc);
create index lead_activity_of_user on public.lead_activity_log (user_id);

alter table public.support_sessions
    add column source text not null default '',
    add column update_id bigint not null default 0,
    add column parent_id bigint references public.support_sessions on delete set null,
    add column variant text not null default 'first' check (variant in ('first', 'again', 'shorter', 'bolder')),
    add column status text not null default 'answered' check (status in ('answered', 'offline', 'failed', 'waiting', 'off_topic')),
    add column photo jsonb,
    add column facts jsonb not null default '{}',
    add column research text not null default '',
    add column sources jsonb not null default '[]',
    add column lead_id bigint references public.lead_registry on delete set null,
    add column feedback text not null default '' check (feedback in ('', 'positive', 'negative')),
    add column closed_at timestamptz;
create index support_sessions_of_update on public.support_sessions (user_id, source, update_id);
create index support_sessions_of_lead on public.support_sessions (lead_id) where lead_id is not null;
create index support_sessions_of_parent on public.support_sessions (parent_id) where parent_id is not null;
comment on column public.support_sessions.photo is 'The channel''s own reference of the photo, so that a variant looks at it again; never its bytes.';
comment on column public.support_sessions.update_id is 'The event that was answered; buttons name a session by it.';

create table public.knowledge_sections (
    checksum text not null,
    position integer not null,
    file text not null,
    language text not null default 'en' check (length(language) <= 35),
    heading text not null,
    body text not null,
    words tsvector not null generated always as (
        setweight(to_tsvector(dealquest.text_config(language), heading), 'A') || setweight(to_tsvector(dealquest.text_config(language), body), 'C')) stored,
    stored_at timestamptz not null default now(),
    primary key (checksum, position)
);
create index knowledge_sections_words on public.knowledge_sections using gin (words);
comment on table public.knowledge_sections is 'Sections of the team''s notes, by the checksum of all their files; made anew when a file changes.';

-- Looks: what a flow may read of the user whose turn it is.

-- Cases that share words or their kind with a deal, the nearest first.
create function public.look_casebook(of_user bigint, query text, for_persona text default '', for_scenario text default '', most integer default 3)
returns jsonb
language sql stable
set search_path = public
as $$
    with languages as (
        select known.language, dealquest.any_word(known.language, query) as wanted
        from (select distinct language from casebook) as known
    ),
    found as (
        select c.id, c.persona_type, c.scenario_type, c.industry, c.seniority, c.analysis, c.strategy, c.tactics, c.draft, c.quality_score,
            ts_rank(c.words, l.wanted, 1) + case when c.scenario_type = for_scenario then 0.3 else 0 end
                + case when c.persona_type = for_persona then 0.1 else 0 end + c.quality_score / 100 as nearness
        from languages l join casebook c on c.language = l.language and (c.words @@ l.wanted or c.scenario_type = for_scenario)
        order by nearness desc, c.id
        limit least(most, 10)
    )
    select coalesce(jsonb_agg(to_jsonb(found) order by nearness desc, id), '[]') from found
$$;

create function public.look_session(of_user bigint, for_source text, session bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select jsonb_build_object('update_id', s.update_id, 'variant', s.variant, 'status', s.status, 'input_type', s.input_type, 'input_text', s.input_text,
        'photo', s.photo, 'output', s.output_json, 'facts', s.facts, 'research', s.research, 'sources', s.sources, 'lead_id', s.lead_id,
        'is_closed', s.closed_at is not null,
        'has_variants', exists (select from support_sessions child where child.parent_id = s.id))
    from support_sessions s
    where s.user_id = of_user and s.source = for_source and s.update_id = session
    order by s.id desc
    limit 1
$$;

-- One page of the 50 newest leads, with the counts of all.
create function public.look_leads(of_user bigint, page integer, per_page integer, as_of timestamptz) returns jsonb
language sql stable
set search_path = public
as $$
    with mine as (
        select * from lead_registry where user_id = of_user order by id desc limit 50
    )
    select jsonb_build_object(
        'total', (select count(*) from lead_registry where user_id = of_user),
        'listed', (select count(*) from mine),
        'counts', coalesce((select jsonb_object_agg(status, n)
            from (select status, count(*) as n from lead_registry where user_id = of_user group by status) as counted), '{}'),
        'rows', coalesce((
            select jsonb_agg(jsonb_build_object('id', id, 'name', name, 'company', company, 'status', status, 'has_photo', photo is not null,
                'is_due', status not in ('closed_won', 'closed_lost') and coalesce(next_followup <= as_of, false),
                'steps', jsonb_array_length(engagement_plan),
                'steps_done', (select count(*) from jsonb_array_elements(engagement_plan) as step where step ->> 'status' = 'done')) order by id desc)
            from (select * from mine order by id desc offset greatest(page, 0) * per_page limit per_page) as shown), '[]'))
$$;

create function public.look_lead(of_user bigint, lead bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select to_jsonb(l) - 'user_id' || jsonb_build_object('activities', coalesce((
        select jsonb_agg(jsonb_build_object('kind', kind, 'content', content, 'created_at', created_at) order by id)
        from (select * from lead_activity_log a where a.lead_id = l.id order by a.id desc limit 10) as newest), '[]'))
    from lead_registry l
    where l.id = lead and l.user_id = of_user
$$;

create function public.look_lead_of_session(of_user bigint, for_source text, session bigint) returns jsonb
language sql stable
set search_path = public
as $$
    select look_lead(of_user, (
        select lead_id from support_sessions s
        where s.user_id = of_user and s.source = for_source and s.update_id = session order by s.id desc limit 1))
$$;

-- The team's notes. They belong to nobody, so they are no look: `coach.knowledge` stores and finds them.

create function public.store_knowledge(of_checksum text, sections jsonb) returns void
language sql volatile
set search_path = public
as $$
    -- Another process may still work with the files as they were, so older notes stay for a day.
    delete from knowledge_sections where checksum <> of_checksum and stored_at < now() - interval '1 day';
    insert into knowledge_sections (checksum, position, file, language, heading, body)
    select of_checksum, (s.position - 1)::integer, s.section ->> 'file', s.section ->> 'language', s.section ->> 'heading', s.section ->> 'body'
    from jsonb_array_elements(sections) with ordinality as s (section, position)
    on conflict (checksum, position) do update set stored_at = now()
$$;

-- Places of the sections that share words with a question, the nearest first; null when these notes are not stored.
create function public.find_knowledge(of_checksum text, query text) returns jsonb
language sql stable
set search_path = public
as $$
    with languages as (
        select known.language, dealquest.any_word(known.language, query) as wanted
        from (select distinct language from knowledge_sections where checksum = of_checksum) as known
    )
    select case when exists (select from knowledge_sections where checksum = of_checksum) then (
        select coalesce(jsonb_agg(k.position order by ts_rank(k.words, l.wanted, 1) desc, k.position), '[]')
        from languages l join knowledge_sections k on k.checksum = of_checksum and k.language = l.language and k.words @@ l.wanted) end
$$;

-- Changes: support.

-- {variant, parent?, status, input_type, input_text, photo?, output, provider, facts, research, sources}
create function dealquest_changes.save_session(of_user bigint, turn jsonb, change jsonb) returns void
language sql volatile
set search_path = public
as $$
    insert into support_sessions (user_id, source, update_id, parent_id, variant, status, input_type, input_text, photo, output_json, provider, facts,
        research, sources)
    values (of_user, turn ->> 'source', (turn ->> 'update_id')::bigint,
        (select id from support_sessions s
         where s.user_id = of_user and s.source = turn ->> 'source' and s.update_id = (change ->> 'parent')::bigint order by s.id desc limit 1),
        change ->> 'variant', change ->> 'status', change ->> 'input_type', change ->> 'input_text', nullif(change -> 'photo', 'null'),
        coalesce(nullif(change -> 'output', 'null'), '{}'), change ->> 'provider', coalesce(nullif(change -> 'facts', 'null'), '{}'),
        left(change ->> 'research', 8000), coalesce(nullif(change -> 'sources', 'null'), '[]'))
$$;

-- {session, feedback, language, case?}: the user is done with an answer. A first draft that was taken as it is becomes a case when it is good enough
-- and no better one of its kind is known.
create function dealquest_changes.close_session(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    closed support_sessions;
    lesson constant jsonb := nullif(change -> 'case', 'null');
    quality real;
begin
    update support_sessions
    set closed_at = now(), feedback = change ->> 'feedback'
    where user_id = of_user and source = turn ->> 'source' and update_id = (change ->> 'session')::bigint and closed_at is null
    returning * into closed;
    quality := (closed.output_json ->> 'quality_score')::real;
    if lesson is null or closed.id is null or closed.status <> 'answered' or closed.variant <> 'first' or closed.feedback <> 'positive'
        or coalesce(quality, 0) < 0.7 or exists (select from support_sessions child where child.parent_id = closed.id)
    then
        return;
    end if;
    insert into casebook (persona_type, scenario_type, industry, seniority, analysis, strategy, tactics, draft, quality_score, accepted_first_draft,
        created_from_user, language)
    select lesson ->> 'persona_type', lesson ->> 'scenario_type', lesson ->> 'industry', lesson ->> 'seniority', lesson ->> 'analysis',
        lesson ->> 'strategy', lesson ->> 'tactics', lesson ->> 'draft', quality, true, of_user, left(change ->> 'language', 35)
    where not exists (
        select from casebook c
        where c.persona_type = lesson ->> 'persona_type' and c.scenario_type = lesson ->> 'scenario_type' and c.industry = lesson ->> 'industry'
            and c.seniority = lesson ->> 'seniority' and c.quality_score >= quality);
end
$$;

-- Changes: leads. Each one finds its lead by id and owner; a lead of somebody else is a lead that does not exist.

-- Whether what was extracted speaks of a known lead: the same or a contained name without contradicting companies, or the
-- same company where one of the names is not known.
create function dealquest.is_same_lead(known_name text, known_company text, name text, company text) returns boolean
language sql immutable
set search_path = ''
as $$
    with plain as (
        select lower(btrim(known_name)) as a, lower(btrim(name)) as b, lower(btrim(known_company)) as at_a, lower(btrim(company)) as at_b
    ),
    told as (
        select *,
            at_a <> '' and (at_a = at_b or (length(at_a) > 2 and length(at_b) > 2 and (position(at_a in at_b) > 0 or position(at_b in at_a) > 0)))
                as is_same_company
        from plain
    )
    select case
        when a = '' or b = '' then is_same_company
        when at_a <> '' and at_b <> '' and not is_same_company then false
        else a = b or (length(a) > 2 and length(b) > 2
            and (position(' ' || a || ' ' in ' ' || b || ' ') > 0 or position(' ' || b || ' ' in ' ' || a || ' ') > 0))
    end
    from told
$$;

create function dealquest.log_lead(of_user bigint, lead bigint, kind text, content text) returns void
language sql volatile
set search_path = public
as $$
    insert into lead_activity_log (user_id, lead_id, kind, content) values (of_user, lead, kind, left(coalesce(content, ''), 4000))
$$;

-- One open reminder for a lead, at the moment it is due; none when it is closed.
create function dealquest.plan_reminder(turn jsonb, lead public.lead_registry) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    if lead.status in ('closed_won', 'closed_lost') or lead.next_followup is null then
        perform dealquest_changes.cancel_job(lead.user_id, turn, jsonb_build_object('key', 'remind:' || lead.id));
    else
        perform dealquest_changes.start_job(lead.user_id, turn, jsonb_build_object('kind', 'remind_lead', 'key', 'remind:' || lead.id,
            'run_at', lead.next_followup, 'payload', jsonb_build_object('lead_id', lead.id)));
    end if;
end
$$;

-- {name, title, company, analysis, strategy, tactics, draft, input_type, context, photo?, research, sources, next_at, enrich}: create the lead of this
-- turn's session, or merge it into a known one.
create function dealquest_changes.keep_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    new_name constant text := btrim(left(change ->> 'name', 200));
    new_company constant text := btrim(left(change ->> 'company', 200));
    kept lead_registry;
begin
    if new_name = '' and new_company = '' then
        return;
    end if;
    -- Two turns of one person, on two channels, must not both create what they should merge.
    perform pg_advisory_xact_lock(hashtextextended('leads ' || of_user, 0));
    select * into kept
    from (select * from lead_registry where user_id = of_user order by id desc limit 50) as newest
    where dealquest.is_same_lead(newest.name, newest.company, new_name, new_company)
    order by (lower(btrim(newest.name)) = lower(new_name)) desc, newest.id desc
    limit 1;
    if kept.id is null then
        insert into lead_registry (user_id, name, title, company, photo, input_type, next_followup)
        values (of_user, new_name, btrim(left(change ->> 'title', 200)), new_company, nullif(change -> 'photo', 'null'), change ->> 'input_type',
            (change ->> 'next_at')::timestamptz)
        returning * into kept;
        perform dealquest.log_lead(of_user, kept.id, 'created', '');
    else
        perform dealquest.log_lead(of_user, kept.id, 'merged', left(change ->> 'context', 300));
    end if;
    update lead_registry
    set name = case when length(new_name) > length(name) then new_name else name end,
        title = case when title = '' then btrim(left(change ->> 'title', 200)) else title end,
        company = case when company = '' then new_company else company end,
        photo = coalesce(nullif(change -> 'photo', 'null'), photo),
        prospect_analysis = change -> 'analysis', closing_strategy = change -> 'strategy', engagement_tactics = change -> 'tactics',
        draft_response = change -> 'draft', original_context = left(change ->> 'context', 2000),
        web_research = case when change ->> 'research' = '' then web_research else left(change ->> 'research', 5000) end,
        web_sources = case when change ->> 'research' = '' then web_sources else change -> 'sources' end,
        updated_at = now()
    where id = kept.id
    returning * into kept;
    update support_sessions
    set lead_id = kept.id
    where user_id = of_user and source = turn ->> 'source' and update_id = (turn ->> 'update_id')::bigint;
    perform dealquest.plan_reminder(turn, kept);
    if (change ->> 'enrich')::boolean and (kept.engagement_plan = '[]' or kept.web_research = '') then
        perform dealquest_changes.start_job(of_user, turn, jsonb_build_object('kind', 'enrich_lead', 'key', 'enrich:' || kept.id,
            'payload', jsonb_build_object('lead_id', kept.id)));
    end if;
end
$$;

-- {lead, research, sources, plan?}: what the enrichment brought. A plan that was begun is not replaced.
create function dealquest_changes.enrich_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    kept lead_registry;
begin
    update lead_registry
    set web_research = case when change ->> 'research' = '' then web_research else left(change ->> 'research', 5000) end,
        web_sources = case when change ->> 'research' = '' then web_sources else change -> 'sources' end,
        engagement_plan = case
            when nullif(change -> 'plan', 'null') is null or engagement_plan @? '$[*] ? (@.status == "done")' then engagement_plan
            else change -> 'plan'
        end,
        updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user
    returning * into kept;
    if kept.id is not null and nullif(change -> 'plan', 'null') is not null then
        perform dealquest.log_lead(of_user, kept.id, 'plan_made', jsonb_array_length(kept.engagement_plan)::text);
    end if;
end
$$;

-- {lead, status, at, next_at}
create function dealquest_changes.set_lead_status(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    is_closing constant boolean := change ->> 'status' in ('closed_won', 'closed_lost');
    kept lead_registry;
begin
    update lead_registry
    set status = change ->> 'status',
        last_contacted = case when change ->> 'status' = 'reached_out' then (change ->> 'at')::timestamptz else last_contacted end,
        next_followup = case when is_closing then null else (change ->> 'next_at')::timestamptz end,
        updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user and status <> change ->> 'status'
    returning * into kept;
    if kept.id is not null then
        perform dealquest.log_lead(of_user, kept.id, 'status_changed', kept.status);
        perform dealquest.plan_reminder(turn, kept);
    end if;
end
$$;

-- {lead, step, done, at}: a step by its place from 0; asking twice for the same changes nothing.
create function dealquest_changes.mark_lead_step(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    place constant integer := (change ->> 'step')::integer;
    is_done constant boolean := (change ->> 'done')::boolean;
    marked jsonb;
begin
    update lead_registry
    set engagement_plan = jsonb_set(engagement_plan, array[place::text], engagement_plan -> place || jsonb_build_object(
            'status', case when is_done then 'done' else 'pending' end, 'completed_at', case when is_done then change ->> 'at' end)),
        updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user and place >= 0 and engagement_plan -> place is not null
        and (engagement_plan -> place ->> 'status' = 'done') <> is_done
    returning engagement_plan -> place into marked;
    if marked is not null then
        perform dealquest.log_lead(of_user, (change ->> 'lead')::bigint, case when is_done then 'step_done' else 'step_reopened' end,
            marked ->> 'description');
    end if;
end
$$;

-- {lead, name?, company?, title?}: what is left out stays.
create function dealquest_changes.edit_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    update lead_registry
    set name = left(coalesce(change ->> 'name', name), 200), company = left(coalesce(change ->> 'company', company), 200),
        title = left(coalesce(change ->> 'title', title), 200), updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user;
    if found then
        perform dealquest.log_lead(of_user, (change ->> 'lead')::bigint, 'edited', concat_ws(', ', change ->> 'name', change ->> 'title', change ->> 'company'));
    end if;
end
$$;

-- {lead, text}: the oldest notes go when there is no more room.
create function dealquest_changes.note_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    update lead_registry
    set notes = right(case when notes = '' then '' else notes || E'\n' end || left(change ->> 'text', 2000), 8000), updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user;
    if found then
        perform dealquest.log_lead(of_user, (change ->> 'lead')::bigint, 'note', change ->> 'text');
    end if;
end
$$;

-- {lead, kind, content, draft?}: something was said about a lead, or written for it.
create function dealquest_changes.log_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    update lead_registry
    set draft_response = coalesce(nullif(change -> 'draft', 'null'), draft_response), updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user;
    if found then
        perform dealquest.log_lead(of_user, (change ->> 'lead')::bigint, change ->> 'kind', change ->> 'content');
    end if;
end
$$;

-- {lead, next_at?}: a reminder goes out with this turn; the next one only where a time is given.
create function dealquest_changes.remind_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
declare
    kept lead_registry;
begin
    update lead_registry
    set followup_count = followup_count + 1, next_followup = (change ->> 'next_at')::timestamptz, updated_at = now()
    where id = (change ->> 'lead')::bigint and user_id = of_user
    returning * into kept;
    if kept.id is not null then
        perform dealquest.log_lead(of_user, kept.id, 'followup_sent', kept.followup_count::text);
        perform dealquest.plan_reminder(turn, kept);
    end if;
end
$$;

-- {lead}
create function dealquest_changes.delete_lead(of_user bigint, turn jsonb, change jsonb) returns void
language plpgsql volatile
set search_path = public
as $$
begin
    delete from lead_registry where id = (change ->> 'lead')::bigint and user_id = of_user;
    if found then
        perform dealquest_changes.cancel_job(of_user, turn, jsonb_build_object('key', 'remind:' || (change ->> 'lead')));
        perform dealquest_changes.cancel_job(of_user, turn, jsonb_build_object('key', 'enrich:' || (change ->> 'lead')));
    end if;
end
$$;

-- Row-level security as everywhere: a person their own rows for reading, the service role everything.

do $$
declare
    name text;
    is_personal boolean;
begin
    for name, is_personal in
        select * from (values ('lead_registry', true), ('lead_activity_log', true), ('knowledge_sections', false)) as tables
    loop
        execute format('alter table public.%I enable row level security', name);
        execute format('revoke all on public.%I from public, anon, authenticated', name);
        execute format('grant select, insert, update, delete on public.%I to project_admin', name);
        execute format('create policy service on public.%I to project_admin using (true) with check (true)', name);
        if is_personal then
            execute format('grant select on public.%I to authenticated', name);
            execute format(
                'create policy own_rows on public.%I for select to authenticated using (user_id = (select dealquest.current_user_id()))', name);
        end if;
    end loop;
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
            or (p.pronamespace = 'dealquest'::regnamespace and p.proname in ('log_lead', 'plan_reminder'))
            or (p.pronamespace = 'public'::regnamespace and (p.proname like 'look\_%' or p.proname in ('store_knowledge', 'find_knowledge')))
    loop
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to project_admin', signature);
    end loop;
end
$$;

-- Cases of our own, so that the casebook helps from the first day. People and companies in them are invented or left out.

insert into public.casebook (persona_type, scenario_type, industry, seniority, quality_score, accepted_first_draft, analysis, strategy, tactics, draft) values
('founder', 'price_objection', 'software', 'c_level', 0.9, true,
    'A founder of a small company says the price is twice what the team expected. The sum is small against what the problem costs, but nobody has put a figure on the problem yet. The founder decides alone and fast.',
    'Agree on the cost of the problem before any talk of price. Ask how often it happens and what one case costs. Put the price beside that figure, not beside the competitor''s. Offer a smaller first scope instead of a discount. Objection to expect: we could build it ourselves; ask what the team would not build meanwhile.',
    'Answer the same day while the founder still thinks about it. Send one page with their own figures. Propose a call of twenty minutes with a fixed end.',
    'You told me the manual check takes two people about a day a week. That is roughly 90 days a year. Before we talk about the price: is that the number you would use too? If so, I suggest we begin with the one team where it hurts most, and you decide on the rest after six weeks.'),
('procurement', 'negotiation', 'manufacturing', 'manager', 0.88, true,
    'Procurement enters late and asks for twenty percent off and ninety days to pay. The business side has already chosen. The buyer is measured on savings that can be shown.',
    'Never give without getting. Find out which of price, payment terms and contract length counts for their target. Trade: a longer term or an earlier signature against a part of the discount. Keep the business sponsor informed, so that delay has a cost on their side. Objection to expect: all other suppliers agreed; ask what they had to leave out for it.',
    'Prepare three packages of equal value to you. Name the date after which the start slips. Keep every concession in writing with its condition.',
    'I understand you need a saving you can show. I can move on one of three things: the payment terms, the term of the contract, or the scope of the first phase. A two-year term signed by the 15th makes eight percent possible. Which of these helps your target most?'),
('economic_buyer', 'status_quo', 'logistics', 'director', 0.86, true,
    'The buyer likes what was shown and sees no reason to change now. The current way works, badly but predictably. No event forces a decision.',
    'Stop presenting and ask about the cost of waiting. Let the buyer describe the last time the old way failed and who had to explain it. Tie a decision to a date the buyer already has: a budget round, a season, an audit. Offer a step that is cheap to undo. Objection to expect: next quarter is better; ask what will be different then.',
    'Bring one peer of theirs who waited and tell what it cost. Ask for the calendar, not for the order.',
    'When we spoke you mentioned the two weekends in November when nobody knew where the trailers were. If nothing changes before this peak, who will be asked about it? I suggest a test on one depot before October; you can stop it with one mail.'),
('end_user', 'no_reply', 'professional_services', 'manager', 0.84, true,
    'A good first meeting, then three weeks of silence after the proposal. The contact is an expert without a budget of their own and probably waits for somebody inside.',
    'Do not ask whether they have had a look. Send something that is useful without an answer. Name the likely reason for the silence openly and make it easy to confirm. Ask who else has to be convinced and offer to prepare that talk. After three tries close the file politely; that often brings the answer. Objection to expect: we are still discussing; ask with whom and on which question.',
    'Change the channel: a short call in the morning instead of a fourth mail. Keep it under eighty words.',
    'My guess is that the proposal waits for your partner and the question is the start date. Is that close? I have put the three facts she will ask for on half a page; forward it as it is, or tell me I am wrong, both help.'),
('technical_evaluator', 'security_review', 'healthcare', 'manager', 0.87, true,
    'The security team sends a questionnaire of two hundred lines and stops the purchase. They were not asked before and answer for every leak. They are not against the product.',
    'Treat them as a buyer with a job of their own. Ask for the three risks that would make them say no and answer those first, with evidence. Offer a call between the experts without sales. Agree on what may be signed under conditions. Objection to expect: no cloud; ask which data, and show what can stay inside.',
    'Send the finished answers within two days; speed is a proof in itself. Put dates to open points.',
    'Two hundred questions are fair, it is your name under the approval. Which three would make you stop this on the spot? I will answer those by Thursday with the reports attached, and our security lead is free on Friday for an hour with your team, without me.'),
('champion', 'stakeholder_alignment', 'retail', 'manager', 0.85, true,
    'A convinced contact says the board will surely agree. Nobody has met the finance director. The contact has never bought anything of this size.',
    'Help the champion to sell inside. Map who decides, who pays, who can stop it. Rehearse the two hardest questions with the champion. Ask for a short meeting with finance, with the reason that helps finance. Objection to expect: I will handle it myself; offer to stay in the background and deliver the figures.',
    'Write the internal paper together, in their words and with their logo. Keep it to one page.',
    'You know your house better than I do. In similar decisions the finance director asked two things: when the money comes back, and what happens if we stop. Shall we put both on one page in your words, and you decide whether I join for ten minutes?'),
('economic_buyer', 'incumbent_competitor', 'software', 'director', 0.86, true,
    'The buyer has used a large competitor for four years and says it is good enough. Users complain, the contract ends in five months. Changing is felt as a risk for the buyer''s standing.',
    'Never attack the competitor; the buyer chose it. Ask what they would want more of, and what they have stopped asking for. Make the change small: one team, both systems side by side, an exit. Find the notice date. Objection to expect: moving the data is a nightmare; show how it went for one like them, hour by hour.',
    'Talk to two users before the meeting. Time the offer eight weeks before notice, not five months.',
    'Four years with one supplier means they do much of it well. What have your people stopped asking them for? If that list is short, stay. If not, your notice date is in March, and a test with the service team would be done before that.'),
('gatekeeper', 'cold_outreach', 'finance', 'assistant', 0.82, true,
    'First contact with an investor''s office; the assistant filters everything. Generic mails are deleted. The decision maker reads two lines at most.',
    'Earn the forward: give a reason why this person and why this week. Name one observation from public facts, one question, no attachment. Treat the assistant as an expert of the calendar. Ask for the right way rather than for a meeting. Objection to expect: send us information; ask which one question it should answer.',
    'Two lines, before nine in the morning. One reminder after four working days, then a different angle.',
    'Your fund''s third purchase in facility services closed in May, so the back offices probably meet this autumn. One question for Ms. K.: who owns that integration? If a call is the wrong way to ask, what is the right one?'),
('champion', 'timing_objection', 'public_sector', 'manager', 0.84, true,
    'Everybody wants it and the budget year is closed. The next one opens in seven months. Without a placeholder the project starts from nothing again.',
    'Separate the wish from the money. Ask which steps cost nothing now: requirements, data, approval of the security team. Get a line into the next plan with a figure. Look for a small sum under the limit for a first phase. Objection to expect: let us talk again in spring; ask what has to be true in spring and who prepares it.',
    'Offer a written plan back from the wanted start date. Meet once a month for fifteen minutes with one topic.',
    'If you want to be live in September, the tender has to be out in April, and the plan closes in November. That makes this month the moment for one line in the plan. I can draft it with you on Tuesday; it commits you to nothing.'),
('founder', 'meeting_follow_up', 'software', 'c_level', 0.85, true,
    'A lively first meeting ended without a next step. The founder promised to come back. Several topics were touched and none was finished.',
    'Follow up within a day on the one thing that mattered most to them. Repeat their words, not your features. Propose one step with a date and say what it decides. Leave the other topics for later. Objection to expect: I need to think; ask about what exactly.',
    'Write while it is warm. Offer two times. If there is no answer in three days, send the one figure they asked for.',
    'What stayed with me is your sentence that you lose people in the second week and learn of it in the fourth. I would like to look at the last twenty cases with you and see whether we would have known earlier. Wednesday at 9 or Thursday at 16? After that you know whether it is worth a test.'),
('economic_buyer', 'closing', 'professional_services', 'c_level', 0.88, true,
    'All questions are answered, the contract has been on the desk for two weeks. The buyer avoids the last step. Usually one worry has not been said.',
    'Ask for the unsaid worry directly and calmly. Go back to the reason they started. Make the first thirty days concrete: who does what, what they see at the end. Agree on how to stop. Objection to expect: only legal is missing; ask who there has it, and offer to call together.',
    'Call instead of writing. Leave silence after the question. No discount for speed alone.',
    'You have had the contract for two weeks and you are quick with decisions, so something is still in the way. What is it? If it is the first month: here is what your team would do, day by day, and the point at which you can still leave.'),
('end_user', 'renewal_expansion', 'education', 'manager', 0.83, true,
    'The customer renews every year without a talk. Usage grew in one department and stopped in another. The person who bought it has left.',
    'Do not wait for the renewal date. Bring the usage per department and ask what explains it. Win the new owner as if it were a new sale: their aims, not the old ones. Solve the weak department before offering more. Objection to expect: we only want to renew; agree, and fix the date for one look at the unused part.',
    'Start ninety days before the end. Let the strong department tell its story to the weak one.',
    'Admissions uses it every day, and the library has not opened it since February. Before your renewal I would rather have the library happy or smaller than paid and unused. Could we ask them together what stopped them?');
