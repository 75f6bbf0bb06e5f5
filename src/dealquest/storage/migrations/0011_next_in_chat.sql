-- Whether an event is what its chat gets to see next: nothing older waits there for its turn, and no reply for its delivery.
-- Only then may a message that its answer will take the place of be sent early, or it would stand before older answers.
create function public.is_next_in_chat(for_source text, for_chat text, for_update_id bigint) returns boolean
language sql stable
set search_path = public
as $$
    select not exists (
        select from inbox older
        where older.source = for_source and older.chat = for_chat and older.status = 'open' and older.update_id < for_update_id
    ) and not exists (
        select from outbox waiting
        where waiting.source = for_source and waiting.chat = for_chat and waiting.status = 'pending'
    )
$$;
revoke all on function public.is_next_in_chat(text, text, bigint) from public, anon, authenticated;
grant execute on function public.is_next_in_chat(text, text, bigint) to project_admin;
