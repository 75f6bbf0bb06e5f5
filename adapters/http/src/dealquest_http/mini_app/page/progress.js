/** What was reached: pure functions of the user's own rows, and the two views that show them. */

import { draw, make, progressBar } from "./words.js";

/** Where the user stands, worked out once. */
export function standing({ user, levels, attempts, outline }) {
  const rows = new Map(levels.map((row) => [`${row.track_id}/${row.level_id}`, row]));
  const tracks = outline.tracks.map((track) => {
    let before = "completed";
    const shown = track.levels.map((level, index) => {
      const row = rows.get(`${track.id}/${level.id}`);
      const status = row && row.status !== "locked" ? row.status : before === "completed" ? "unlocked" : "locked";
      before = row?.status ?? "locked";
      return { ...level, number: index + 1, status, best: row?.best_score ?? 0 };
    });
    return { ...track, levels: shown };
  });
  const next = tracks.flatMap((track) => track.levels.map((level) => ({ track, level }))).find(({ level }) => ["unlocked", "in_progress"].includes(level.status));
  const floor = xpAt(user.current_level);
  const today = new Date().toDateString();
  return {
    user,
    tracks,
    attempts,
    passMark: outline.passMark,
    next: next ?? null,
    rank: outline.ranks[Math.min(user.current_level, outline.ranks.length) - 1],
    into: user.total_xp - floor,
    needed: xpAt(user.current_level + 1) - floor,
    done: tracks.flatMap((track) => track.levels).filter((level) => level.status === "completed").length,
    all: tracks.flatMap((track) => track.levels).length,
    answeredToday: attempts.some((attempt) => new Date(attempt.created_at).toDateString() === today),
  };
}

/** The level rule of the server: level n begins at 100 n (n - 1). */
const xpAt = (level) => 100 * level * (level - 1);

const days = (count) => (count === 1 ? "1 day" : `${count} days`);

/** Today: one next step, and where the user stands. */
export function todayView(now) {
  const name = now.user.first_name;
  const greeting = now.attempts.length ? "Good to see you again" : "Welcome";
  return make("div", { class: "view stack" },
    make("h1", { tabindex: -1 }, name ? `${greeting}, ${name}.` : `${greeting}.`),
    nextStep(now),
    make("section", { class: "card", "aria-label": "Where you stand" },
      make("div", { class: "row" },
        make("div", {}, make("h2", {}, now.rank), make("p", { class: "muted small" }, `Level ${now.user.current_level}`)),
        make("p", { class: "number" }, `${now.user.total_xp}`, make("span", { class: "small muted" }, " XP"))),
      progressBar(now.into, now.needed, `XP to level ${now.user.current_level + 1}`),
      make("p", { class: "muted small" }, `${now.needed - now.into} XP to level ${now.user.current_level + 1}`)),
    make("div", { class: "figures" },
      figure(now.user.streak_days ? days(now.user.streak_days) : "None yet", now.answeredToday ? "Streak, kept today" : "Streak"),
      figure(`${now.done} of ${now.all}`, "Lessons completed")));
}

function nextStep(now) {
  if (!now.next) {
    return make("section", { class: "card step" },
      make("p", { class: "eyebrow" }, "Today’s next step"),
      make("h2", {}, "Practise a scenario"),
      make("p", { class: "muted" }, "Every lesson is completed. A buyer is waiting, and every scenario can be played for a better score."));
  }
  const { track, level } = now.next;
  return make("section", { class: "card step" },
    make("p", { class: "eyebrow" }, "Today’s next step"),
    make("h2", {}, level.name),
    make("p", { class: "muted" },
      level.status === "in_progress"
        ? `Lesson ${level.number} of ${track.name}. Your best is ${level.best}; ${now.passMark} completes it.`
        : `Lesson ${level.number} of ${track.name}: read it, then answer one scenario.`));
}

const figure = (value, label) => make("section", { class: "card" }, make("p", {}, make("strong", {}, value)), make("p", { class: "muted small" }, label));

/** Progress: scores, lessons, badges; `begin` opens a lesson. */
export function progressView(now, begin) {
  const earned = badges(now);
  return make("div", { class: "view stack" },
    make("h1", { tabindex: -1 }, "Progress"),
    scores(now),
    ...now.tracks.map((track) => make("section", { class: "card" },
      make("h2", {}, track.name),
      make("ol", { class: "list" }, ...track.levels.map((level) => levelRow(level, begin))))),
    make("section", { class: "card" },
      make("div", { class: "row" }, make("h2", {}, "Badges"),
        make("p", { class: "muted small" }, `${earned.filter((badge) => badge.earned).length} of ${earned.length}`)),
      make("ul", { class: "badges" }, ...earned.map(badgeItem))));
}

const STATES = { completed: "done", in_progress: "open", unlocked: "open", locked: "locked" };
const SAID = { completed: "completed", in_progress: "begun", unlocked: "open", locked: "locked" };

function levelRow(level, begin) {
  const words = [level.name, make("span", { class: "visually-hidden" }, `, ${SAID[level.status]}`)];
  return make("li", { class: STATES[level.status] },
    make("span", { class: "mark", "aria-hidden": "true" }, level.status === "completed" ? "✓" : `${level.number}`),
    level.status === "locked" ? make("span", {}, ...words) : make("button", { class: "level", type: "button", onclick: () => begin(level) }, ...words),
    make("span", { class: "score" }, level.best ? `best ${level.best}` : ""));
}

function scores(now) {
  const newest = now.attempts.slice(0, 20).reverse();
  if (!newest.length) {
    return make("section", { class: "card" }, make("h2", {}, "Scores"), make("p", { class: "muted" }, "Your first score will stand here."));
  }
  const mean = Math.round(newest.reduce((sum, attempt) => sum + attempt.score, 0) / newest.length);
  const best = Math.max(...newest.map((attempt) => attempt.score));
  const slots = Math.max(newest.length, 10);
  const width = 300 / slots;
  const picture = draw("svg", { class: "scores", viewBox: "0 0 300 84", preserveAspectRatio: "none", role: "img",
    "aria-label": `The last ${newest.length} scores, oldest first: ${newest.map((attempt) => attempt.score).join(", ")}` });
  newest.forEach((attempt, index) => {
    const height = Math.max(2, (attempt.score / 100) * 80);
    picture.append(draw("rect", { x: index * width + 2, y: 84 - height, width: width - 4, height, rx: 3, ...(attempt.score >= now.passMark ? { class: "passed" } : {}) }));
  });
  const mark = 84 - (now.passMark / 100) * 80;
  picture.append(draw("line", { x1: 0, x2: 300, y1: mark, y2: mark }));
  return make("section", { class: "card" },
    make("div", { class: "row" }, make("h2", {}, "Scores"), make("p", { class: "muted small" }, `mean ${mean} · best ${best}`)),
    picture,
    make("p", { class: "muted small" }, `The dotted line is ${now.passMark}, where a lesson is completed.`));
}

/** Badges follow from the rows alone, so they cannot be farmed and never get lost. */
export function badges({ attempts, user, tracks, done }) {
  const best = Math.max(0, ...attempts.map((attempt) => attempt.score));
  const scenarios = new Set(attempts.map((attempt) => attempt.scenario_id)).size;
  const finished = tracks.some((track) => track.levels.length && track.levels.every((level) => level.status === "completed"));
  return [
    { name: "First answer", how: "Answer one scenario", sign: "M18 27l5 5 11-12", earned: attempts.length > 0 },
    { name: "Lesson learned", how: "Complete a lesson", sign: "M17 19h8a3 3 0 0 1 3 3v11a3 3 0 0 0-3-2h-8zM39 19h-8a3 3 0 0 0-3 3v11a3 3 0 0 1 3-2h8z", earned: done > 0 },
    { name: "Sharp", how: "Score 90 or more", sign: "M28 16l3.6 7.6 8.4 1-6.2 5.7 1.7 8.2L28 34.3l-7.5 4.2 1.7-8.2L16 24.6l8.4-1z", earned: best >= 90 },
    { name: "Three days running", how: "Answer on three days in a row", sign: "M28 15c1 6 8 9 8 16a8 8 0 0 1-16 0c0-4 2-6 4-8 0 3 1 4 2 5 2-3 3-8 2-13z", earned: user.streak_days >= 3 },
    { name: "Many buyers", how: "Answer ten different scenarios", sign: "M22 26a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM34 26a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM15 37c0-5 3-8 7-8s7 3 7 8M32 29.5c4-1 9 2 9 7.5", earned: scenarios >= 10 },
    { name: "Whole track", how: "Complete every lesson of a track", sign: "M20 16v24M20 17h16l-4 5 4 5H20", earned: finished },
  ];
}

function badgeItem(badge) {
  const picture = draw("svg", { viewBox: "0 0 56 56", "aria-hidden": "true" },
    draw("circle", { class: "ring", cx: 28, cy: 28, r: 25 }), draw("path", { class: "sign", d: badge.sign }));
  return make("li", { class: badge.earned ? "earned" : "" }, picture, make("strong", { class: "small" }, badge.name),
    make("span", { class: "small muted" }, badge.earned ? "Earned" : badge.how));
}
