-- Pipeline runs and their steps. Written by the trace collector as project_admin; nobody else may read or write:
-- spans may hold what users said.

create table public.pipeline_traces (
    trace_id uuid primary key,
    pipeline_name text not null,
    telegram_id bigint,
    user_id text,
    start_time timestamptz not null,
    end_time timestamptz, -- null: unfinished
    duration_ms double precision,
    status text not null default 'unset' check (status in ('unset', 'ok', 'error', 'cancelled')),
    success boolean,
    error text,
    span_count integer,
    llm_calls integer,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd numeric,
    cost_source text,
    price_table text,
    sample_rate double precision not null default 1,
    attributes jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create table public.pipeline_spans (
    span_id uuid primary key, -- first half of the trace id, then the span id: the rows of a trace lie together
    trace_id uuid not null, -- no foreign key: a span may arrive before its trace
    parent_span_id uuid,
    span_name text not null,
    kind text not null default 'step',
    status text not null check (status in ('unset', 'ok', 'error', 'cancelled')),
    start_time timestamptz not null,
    end_time timestamptz not null,
    start_ns bigint not null,
    duration_ms double precision not null,
    success boolean not null,
    error text,
    error_type text,
    stack_hash text,
    model text,
    provider text,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd numeric,
    attributes jsonb not null default '{}',
    input_data jsonb,
    output_data jsonb,
    created_at timestamptz not null default now()
);

create index pipeline_spans_trace on public.pipeline_spans (trace_id, start_ns);
create index pipeline_traces_start on public.pipeline_traces (start_time desc);
create index pipeline_traces_name on public.pipeline_traces (pipeline_name, start_time desc);
create index pipeline_traces_telegram on public.pipeline_traces (telegram_id, start_time desc);

alter table public.pipeline_traces enable row level security;
alter table public.pipeline_spans enable row level security;

revoke all on public.pipeline_traces, public.pipeline_spans from public, anon, authenticated, project_admin;
-- Traces are finished by an update; spans are written once.
grant select, insert, update on public.pipeline_traces to project_admin;
grant select, insert on public.pipeline_spans to project_admin;

create policy pipeline_traces_select on public.pipeline_traces for select to project_admin using (true);
create policy pipeline_traces_insert on public.pipeline_traces for insert to project_admin with check (true);
create policy pipeline_traces_update on public.pipeline_traces for update to project_admin using (true) with check (true);
create policy pipeline_spans_select on public.pipeline_spans for select to project_admin using (true);
create policy pipeline_spans_insert on public.pipeline_spans for insert to project_admin with check (true);

-- Retention: a job calls this; nobody may delete single rows.
create function public.delete_pipeline_traces_before(instant timestamptz) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with gone_spans as (delete from public.pipeline_spans where start_time < instant),
    gone_traces as (delete from public.pipeline_traces where start_time < instant returning 1)
    select count(*) from gone_traces;
$$;
revoke all on function public.delete_pipeline_traces_before(timestamptz) from public, anon, authenticated;
grant execute on function public.delete_pipeline_traces_before(timestamptz) to project_admin;
