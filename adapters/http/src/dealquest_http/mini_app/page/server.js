/** The server's routes as functions. The session stays in memory; an event keeps its id when it is sent again. */

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let token = null;
let renew = null;

async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const given = { ...headers };
  if (token) given.authorization = `Bearer ${token}`;
  if (body !== undefined) given["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers: given, body: body === undefined ? undefined : JSON.stringify(body), signal, credentials: "omit" });
  } catch (error) {
    throw new Refusal(0, "The server cannot be reached. Check the connection.");
  }
  if (answer.ok) return answer;
  const content = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, content.message || content.error || `The server answered ${answer.status}.`);
}

/** Ask once more with a fresh session when the old one ran out. */
async function askSignedIn(path, options) {
  try {
    return await ask(path, options);
  } catch (error) {
    if (error.status !== 401 || !renew) throw error;
    token = null;
    await renew();
    return ask(path, options);
  }
}

const json = async (answer) => (await answer).json();

export const readConfig = () => json(ask("config.json"));

async function takeSession(path, body) {
  const { jwt, user } = await json(ask(path, { method: "POST", body }));
  token = jwt;
  return user;
}

export function signInByTelegram(initDataRaw) {
  renew = () => takeSession("/functions/verify-telegram", { initDataRaw });
  return renew();
}

export function signInForDevelopment(name) {
  renew = () => takeSession("dev-sign-in", { name });
  return renew();
}

/** The user's own rows, as row-level security lets them through. */
export async function readOwnRows() {
  const records = (path) => json(askSignedIn(`/api/database/records/${path}`));
  const [users, levels, attempts, outline] = await Promise.all([
    records("users?select=first_name,total_xp,current_level,streak_days,last_graded_on"),
    records("track_progress?select=track_id,level_id,status,best_score"),
    records("attempts?select=score,scenario_id,mode,created_at&order=created_at.desc&limit=200"),
    json(askSignedIn("/api/coach/outline")),
  ]);
  if (!users.length) throw new Refusal(401, "This user does not exist any more. Open the app again.");
  return { user: users[0], levels, attempts, outline };
}

export const readWaiting = async () => (await json(askSignedIn("/api/coach/replies"))).replies;

export const markSeen = (through) => askSignedIn("/api/coach/replies/seen", { method: "POST", body: { through } });

export function makeEvent(kind, text = "") {
  const id = crypto.randomUUID ? crypto.randomUUID() : [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { id, kind, text };
}

/** Send an event and read its replies as they come; `onPartial` is shown an answer while it is written. */
export async function sendEvent(event, onPartial) {
  const answer = await askSignedIn("/api/coach/events", { method: "POST", body: event, headers: { accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let replies = null;
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch {
      throw new Refusal(0, "The connection broke before the answer was complete.");
    }
    if (piece.done) break;
    buffer += piece.value;
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      if (!block.startsWith("data: ")) continue;
      const content = JSON.parse(block.slice(6));
      if (content.error) throw new Refusal(503, content.message);
      if (content.partial !== undefined) onPartial(content.partial);
      if (content.replies) replies = content;
    }
  }
  if (!replies) throw new Refusal(0, "The connection broke before the answer was complete.");
  return replies;
}
