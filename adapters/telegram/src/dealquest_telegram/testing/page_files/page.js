"use strict";
const name = new URLSearchParams(location.search).get("name") || "";
const chat = document.getElementById("chat");
const text = document.getElementById("text");
const toast = document.getElementById("toast");
const typing = document.getElementById("typing");
const recordButton = document.getElementById("record");
const headers = { "X-Dealquest-Page": "1", "Content-Type": "application/json" };
const query = (more = {}) => new URLSearchParams({ name, ...more }).toString();

const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote", expandable_blockquote: "blockquote" };

function wrap(entity, child) {
  if (entity.type === "text_link") {
    const link = document.createElement("a");
    // Only addresses of the web become links; anything else stays text.
    if (/^https?:/i.test(entity.url)) { link.href = entity.url; link.rel = "noopener noreferrer"; link.target = "_blank"; }
    link.append(child);
    return link;
  }
  const element = document.createElement(TAGS[entity.type] || "span");
  if (entity.type === "spoiler") element.className = "spoiler";
  element.append(child);
  return element;
}

// Entities are nested or apart, outer ones first; JavaScript counts UTF-16 units as Telegram does.
function render(value, entities, start = 0, end = value.length) {
  const out = document.createDocumentFragment();
  let at = start;
  for (let i = 0; i < entities.length; i += 1) {
    const entity = entities[i];
    if (entity.offset < at) continue;
    const stop = Math.min(entity.offset + entity.length, end);
    out.append(value.slice(at, entity.offset));
    const inner = entities.slice(i + 1).filter((other) => other.offset >= entity.offset && other.offset + other.length <= stop);
    out.append(wrap(entity, render(value, inner, entity.offset, stop)));
    at = stop;
  }
  out.append(value.slice(at, end));
  return out;
}

// Rich messages come as blocks whose text is a string, a list, or a styled piece that holds one of them.
const RICH = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", marked: "mark", subscript: "sub", superscript: "sup" };

function richText(piece) {
  const out = document.createDocumentFragment();
  if (typeof piece === "string") out.append(piece);
  else if (Array.isArray(piece)) piece.forEach((inner) => out.append(richText(inner)));
  else if (piece && piece.type === "url") out.append(wrap({ type: "text_link", url: String(piece.url) }, richText(piece.text)));
  else if (piece) {
    const element = document.createElement(RICH[piece.type] || "span");
    element.append(richText(piece.text || ""));
    out.append(element);
  }
  return out;
}

function richBlock(block) {
  const element = document.createElement({ pre: "pre", blockquote: "blockquote", heading: "h3" }[block.type] || "p");
  if (block.blocks) block.blocks.forEach((inner) => element.append(richBlock(inner)));
  else element.append(richText(block.text || ""));
  return element;
}

function attachment(file) {
  const address = `/chat/file/${encodeURIComponent(file.id)}`;
  if (file.kind === "photo") {
    const image = document.createElement("img");
    image.src = address;
    image.alt = "photo";
    image.addEventListener("load", () => { if (isNearEnd(image.clientHeight + 120)) chat.scrollTop = chat.scrollHeight; });
    return image;
  }
  if (file.kind === "voice" || file.kind === "audio") {
    const player = document.createElement("audio");
    player.src = address;
    player.controls = true;
    player.preload = "none";
    return player;
  }
  const link = document.createElement("a");
  link.href = address;
  link.download = file.name || "file";
  link.textContent = `📄 ${file.name || "file"}`;
  return link;
}

function bubble(content, mine, extra = "") {
  const box = document.createElement("div");
  box.className = `message${mine ? " mine" : ""}${extra}`;
  const inner = document.createElement("div");
  inner.className = "bubble";
  inner.append(content);
  box.append(inner);
  return box;
}

function drawMessage(message) {
  const content = document.createDocumentFragment();
  if (message.file) content.append(attachment(message.file));
  if (message.rich.length) message.rich.forEach((block) => content.append(richBlock(block)));
  else content.append(render(message.text, message.entities));
  const box = bubble(content, message.mine);
  for (const row of message.buttons) {
    const line = document.createElement("div");
    line.className = "buttons";
    for (const button of row) {
      const element = document.createElement("button");
      element.type = "button";
      element.textContent = button.text;
      element.dataset.key = `${message.id} ${button.callback_data || button.url || ""}`;
      if (button.callback_data) element.addEventListener("click", () => press(message.id, button.callback_data));
      else if (/^https?:/i.test(button.url || "")) element.addEventListener("click", () => window.open(button.url, "_blank", "noopener"));
      line.append(element);
    }
    box.append(line);
  }
  return box;
}

// Only what changed is drawn anew, so that focus, selection and a playing sound stay.
const drawn = new Map();
let busy = 0;

const isNearEnd = (within) => chat.scrollHeight - chat.scrollTop - chat.clientHeight < within;

function show(state) {
  const stick = drawn.size === 0 || isNearEnd(120);
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : undefined;
  const alive = new Set(state.messages.map((message) => message.id));
  for (const [id, known] of drawn) if (!alive.has(id)) { known.box.remove(); drawn.delete(id); }
  for (const message of state.messages) {
    const content = JSON.stringify(message);
    const known = drawn.get(message.id);
    if (known && known.content === content) continue;
    const box = drawMessage(message);
    if (known) known.box.replaceWith(box);
    else chat.append(box);
    drawn.set(message.id, { box, content });
  }
  chat.querySelectorAll(".draft").forEach((old) => old.remove());
  if (state.draft !== null) chat.append(bubble(state.draft || "…", false, " draft"));
  if (focused) {
    const again = [...chat.querySelectorAll("button")].find((button) => button.dataset.key === focused);
    if (again) again.focus();
  }
  const last = state.messages[state.messages.length - 1];
  typing.textContent = state.busy !== busy && last && last.mine ? "dealquest is writing …" : "";
  if (!last || !last.mine) busy = state.busy;
  if (stick) chat.scrollTop = chat.scrollHeight;
}

function tell(words) {
  toast.textContent = words;
  toast.hidden = false;
  setTimeout(() => { toast.hidden = true; }, 4000);
}

async function press(message_id, data) {
  const answer = await fetch(`/chat/press?${query()}`, { method: "POST", headers, body: JSON.stringify({ message_id, data }) });
  const told = answer.ok ? (await answer.json()).toast : "";
  if (told) tell(told);
}

async function say() {
  const value = text.value;
  if (!value.trim()) return;
  text.value = "";
  grow();
  await fetch(`/chat/say?${query()}`, { method: "POST", headers, body: JSON.stringify({ text: value }) });
}

async function send(file, more = {}) {
  const caption = text.value;
  text.value = "";
  const answer = await fetch(`/chat/file?${query({ file: file.name || "voice", caption, ...more })}`, {
    method: "POST", headers: { ...headers, "Content-Type": file.type || "application/octet-stream" }, body: file,
  });
  if (!answer.ok) tell("The file was not taken.");
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
}

let recorder = null;
async function record() {
  if (recorder) { recorder.stop(); return; }
  let sound;
  try {
    sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    tell("The browser gives no microphone; send a sound file instead.");
    return;
  }
  const parts = [];
  const began = Date.now();
  recorder = new MediaRecorder(sound);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    sound.getTracks().forEach((track) => track.stop());
    const type = recorder.mimeType.split(";")[0] || "audio/webm";
    recorder = null;
    recordButton.setAttribute("aria-pressed", "false");
    send(new Blob(parts, { type }), { seconds: Math.max(1, Math.round((Date.now() - began) / 1000)) });
  });
  recorder.start();
  recordButton.setAttribute("aria-pressed", "true");
}

document.getElementById("form").addEventListener("submit", (event) => { event.preventDefault(); say(); });
text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(); } });
document.getElementById("attach").addEventListener("click", () => document.getElementById("file").click());
document.getElementById("file").addEventListener("change", async (event) => {
  if (event.target.files[0]) await send(event.target.files[0]);
  event.target.value = "";
  text.focus();
});
recordButton.addEventListener("click", record);
// Whoever begins to type while something else is focused means the message field.
document.addEventListener("keydown", (event) => {
  const typed = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (typed && document.activeElement !== text) text.focus();
});

(async function follow() {
  let known = "";
  for (;;) {
    try {
      const answer = await fetch(`/chat?${query({ known })}`);
      known = (answer.headers.get("ETag") || "").replaceAll('"', "");
      show(await answer.json());
    } catch {
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
})();
