-- Less to wait for between an update and its answer.

-- Store what came in and, in the same transaction, claim the first of it for a worker that has nothing to do: {new, claim}.
-- Nothing waits for the disk here, so the turn begins at once. The channel confirms what it sent only after `reach_disk`; a crash of the
-- server before that takes the update and all that followed from it, and the channel sends it again.
create or replace function public.receive_and_take(updates jsonb, for_worker text, lease_s double precision) returns jsonb
language plpgsql volatile
set search_path = public
as $$
declare
    first constant jsonb := updates -> 0;
    stored integer;
begin
    perform set_config('synchronous_commit', 'off', true);
    stored := receive_updates(updates);
    return jsonb_build_object('new', stored, 'claim', case when stored > 0 then
        claim_update(first ->> 'source', for_worker, lease_s, first ->> 'chat', (first ->> 'update_id')::bigint) end);
end
$$;

-- Return when everything that was committed before is on the disk: this commit waits, and the log is written in order. It must write
-- something to have something to wait for, and a message that nobody reads leaves no row behind.
create function public.reach_disk() returns void
language sql volatile
set search_path = public
as $$
    select pg_logical_emit_message(true, 'dealquest', '')
$$;
revoke all on function public.reach_disk() from public, anon, authenticated;
grant execute on function public.reach_disk() to project_admin;
