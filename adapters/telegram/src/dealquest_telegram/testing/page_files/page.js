"use strict";
const name = new URLSearchParams(location.search).get("name") || "";
const chat = document.getElementById("chat");
const text = document.getElementById("text");
const toast = document.getElementById("toast");
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

function bubble(content, mine, extra = "") {
  const box = document.createElement("div");
  box.className = `message${mine ? " mine" : ""}${extra}`;
  const inner = document.createElement("div");
  inner.className = "bubble";
  inner.append(content);
  box.append(inner);
  return box;
}

function show(state) {
  const stick = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;
  chat.replaceChildren();
  for (const message of state.messages) {
    const content = document.createDocumentFragment();
    if (message.attached) content.append(`[${message.attached}] `);
    if (message.rich.length) content.append(message.rich.map((block) => (typeof block.text === "string" ? block.text : JSON.stringify(block.text))).join("\n\n"));
    else content.append(render(message.text, message.entities));
    const box = bubble(content, message.mine);
    for (const row of message.buttons) {
      const line = document.createElement("div");
      line.className = "buttons";
      for (const button of row) {
        const element = document.createElement("button");
        element.textContent = button.text;
        if (button.callback_data) element.addEventListener("click", () => press(message.id, button.callback_data));
        else if (/^https?:/i.test(button.url || "")) element.addEventListener("click", () => window.open(button.url, "_blank", "noopener"));
        line.append(element);
      }
      box.append(line);
    }
    chat.append(box);
  }
  if (state.draft !== null) chat.append(bubble(state.draft || "…", false, " draft"));
  if (stick) chat.scrollTop = chat.scrollHeight;
}

async function press(message_id, data) {
  const answer = await fetch(`/chat/press?${query()}`, { method: "POST", headers, body: JSON.stringify({ message_id, data }) });
  const told = answer.ok ? (await answer.json()).toast : "";
  if (!told) return;
  toast.textContent = told;
  toast.hidden = false;
  setTimeout(() => { toast.hidden = true; }, 4000);
}

async function say() {
  const value = text.value;
  if (!value.trim()) return;
  text.value = "";
  await fetch(`/chat/say?${query()}`, { method: "POST", headers, body: JSON.stringify({ text: value }) });
}

document.getElementById("form").addEventListener("submit", (event) => { event.preventDefault(); say(); });
text.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); say(); } });
document.getElementById("file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (file) await fetch(`/chat/file?${query({ file: file.name })}`, { method: "POST", headers: { ...headers, "Content-Type": file.type || "application/octet-stream" }, body: file });
  event.target.value = "";
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
