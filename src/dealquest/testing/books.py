"""Whether the coach's books agree: attempts, ledger, XP, progress, practice cards, badges, memory, replies.

For tests of load and crashes. Reads through the owner's connection, and changes nothing.
"""

from typing import Any, LiteralString

import psycopg

_DISAGREEMENTS: dict[str, LiteralString] = {
    "XP that is not the ledger's sum": """
        select u.id, u.total_xp, coalesce(sum(l.amount), 0) from users u left join xp_ledger l on l.user_id = u.id
        group by u.id having u.total_xp <> coalesce(sum(l.amount), 0)""",
    "attempts whose XP is not that of their ledger lines": """
        select a.id, a.xp_earned, coalesce(sum(l.amount), 0)
        from attempts a left join xp_ledger l using (source, update_id, user_id)
        group by a.id having a.xp_earned <> coalesce(sum(l.amount), 0)""",
    "ledger lines without an attempt": """
        select l.id from xp_ledger l
        where not exists (select from attempts a where (a.source, a.update_id) = (l.source, l.update_id))""",
    "scenarios that paid more than their best score and bonuses": """
        select a.user_id, a.scenario_id from attempts a join xp_ledger l using (source, update_id)
        where l.reason = 'score' group by 1, 2 having sum(l.amount) <> max(a.score)""",
    "progress that is not that of the attempts": """
        select p.user_id, p.level_id from track_progress p
        left join (
            select user_id, level_id, max(score) as best, count(*) as tries from attempts where mode = 'learn' group by 1, 2) as made
            using (user_id, level_id)
        where (p.best_score, p.attempts_count, p.status = 'completed') is distinct from (made.best, made.tries, made.best >= 60)""",
    "practised scenarios that do not count as seen": """
        select a.user_id, a.scenario_id from attempts a
        where a.mode <> 'learn'
            and not exists (select from scenarios_seen s where (s.user_id, s.scenario_id) = (a.user_id, a.scenario_id))""",
    "practice cards that were not reviewed once for each attempt": """
        select user_id, area, made.times, c.reviews
        from (
            select a.user_id, item ->> 'area' as area, count(distinct a.id) as times
            from attempts a, jsonb_array_elements(a.feedback_json -> 'criteria') as item group by 1, 2) as made
        full join skill_cards c using (user_id, area)
        where made.times is distinct from c.reviews""",
    "people with an attempt and without its badge": """
        select user_id from attempts except select user_id from badges where badge = 'first-win'""",
    "memories that miss an interaction": """
        select user_id, made.times from (select user_id, count(*) as times from attempts group by 1) as made
        full join user_memory m using (user_id)
        where made.times is distinct from (m.memory ->> 'interactions')::bigint""",
    "events without exactly one turn's replies": """
        select i.source, i.update_id from inbox i
        left join (
            select source, update_id, count(*) as replies, max(seq) + 1 as wanted from outbox group by 1, 2) as o using (source, update_id)
        where i.status <> 'done' or (not i.is_job and (o.replies is null or o.replies <> o.wanted))""",
    "steps that were left behind": "select source, update_id, step from inbox_steps where step <> 'placeholder'",
}


def find_disagreements(dsn: str) -> dict[str, list[Any]]:
    """Every kind of disagreement with its first rows; empty when the books agree. All events must be finished first.

    Args:
        dsn: The database, as its owner.
    """
    with psycopg.connect(dsn) as owner:
        found = {name: owner.execute(query).fetchmany(5) for name, query in _DISAGREEMENTS.items()}
    return {name: rows for name, rows in found.items() if rows}
