/** The conversation: what was said, the choices of the newest replies, and the answer that is being written. */

import { makeEvent, markSeen, readWaiting, sendEvent } from "./server.js";
import { make, styledText } from "./words.js";

const DRAFT = "dealquest.draft";
const LOOK_EVERY_MS = 10_000;

/** The draft outlives a closed page where the browser lets it. */
const drafts = {
  read() {
    try { return localStorage.getItem(DRAFT) ?? ""; } catch { return ""; }
  },
  write(text) {
    try { text ? localStorage.setItem(DRAFT, text) : localStorage.removeItem(DRAFT); } catch { /* private windows keep nothing */ }
  },
};

export class Coach {
  /** `changed()` is called when the buttons around the page have to be shown anew. */
  constructor({ changed, announce, haptics }) {
    this.changed = changed;
    this.announce = announce;
    this.haptics = haptics;
    this.busy = false;
    this.failed = null;
    this.newest = [];
    this.lastShown = 0;
    this.log = make("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": "Conversation" });
    this.choices = make("div", { class: "choices", role: "group", "aria-label": "Choices" });
    this.field = make("textarea", { id: "answer", maxlength: 8000, rows: 4, placeholder: "As you would say or write it to the buyer",
      oninput: () => { drafts.write(this.field.value); this.changed(); },
      onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.send(); } } });
    this.field.value = drafts.read();
    this.answer = make("div", { class: "answer" }, make("label", { for: "answer" }, "Your answer"), this.field);
    this.trouble = make("div", { class: "card notice", role: "alert", hidden: true });
    this.element = make("div", { class: "view" }, make("h1", { class: "visually-hidden", tabindex: -1 }, "Coach"), this.log, this.choices, this.trouble, this.answer);
  }

  get isEmpty() { return this.log.childElementCount === 0; }
  get hasDraft() { return this.field.value.trim() !== ""; }

  say(text) { return this.tell(makeEvent("text", text), text); }
  press(data, label) { return this.tell(makeEvent("button", data), label); }
  hello() { return this.tell(makeEvent("hello")); }

  async send() {
    const text = this.field.value.trim();
    if (!text || this.busy) return;
    await this.tell(makeEvent("text", text), text, true);
  }

  /** Replies that were made while nobody looked; whether there were any. */
  async showWaiting() {
    const replies = (await readWaiting()).filter((reply) => reply.id > this.lastShown);
    if (!replies.length || this.busy) return false;
    this.add(replies);
    this.draw();
    await markSeen(this.lastShown);
    return true;
  }

  /** Look now and then for what the coach says later, such as research that takes its time. */
  watch() {
    setInterval(() => {
      // Whoever cannot be reached now is asked again soon.
      if (!this.busy && !document.hidden) this.showWaiting().catch(() => {});
    }, LOOK_EVERY_MS);
  }

  async tell(event, shown, isAnswer = false) {
    if (this.busy) return;
    this.busy = true;
    this.failed = null;
    this.newest = [];
    const mine = shown ? make("div", { class: "said mine" }, make("span", { class: "visually-hidden" }, "You: "), shown) : null;
    if (mine) this.log.append(mine);
    const words = make("div", { class: "words" }, make("span", { class: "dots", "aria-hidden": "true" }, make("i"), make("i"), make("i")));
    const writing = make("div", { class: "said writing", "aria-live": "off" }, words);
    this.log.append(writing);
    this.draw();
    writing.scrollIntoView({ block: "nearest" });
    this.announce(isAnswer ? "Your answer is being read." : "One moment.");
    try {
      const { replies, pending } = await sendEvent(event, (partial) => { words.textContent = partial; });
      if (isAnswer) { this.field.value = ""; drafts.write(""); }
      writing.remove();
      const first = this.add(replies);
      if (pending) this.announce("This takes longer than usual. The answer will wait for you here.");
      if (isAnswer) this.haptics("success");
      this.busy = false;
      this.draw();
      first?.scrollIntoView({ block: "start", behavior: "smooth" });
      if (replies.length) await markSeen(this.lastShown).catch(() => {});
    } catch (error) {
      writing.remove();
      mine?.remove();
      this.busy = false;
      this.failed = { event, shown, isAnswer, message: error.message };
      this.haptics("error");
      this.draw();
    }
  }

  add(replies) {
    let first = null;
    for (const reply of replies) {
      this.lastShown = Math.max(this.lastShown, reply.id);
      const said = make("div", { class: "said" }, make("div", { class: "words" }, styledText(reply.text, reply.spans)));
      if (reply.document) said.append(documentLink(reply.document));
      this.log.append(said);
      first ??= said;
    }
    this.newest = replies.flatMap((reply) => reply.buttons ?? []);
    return first;
  }

  draw() {
    this.choices.replaceChildren(...this.newest.map((row) => make("div", { class: "choice-row" },
      ...row.map((button) => make("button", { class: "button quiet", type: "button", onclick: () => this.press(button.data, button.label) }, button.label)))));
    this.choices.hidden = this.busy || !this.newest.length;
    this.answer.hidden = this.busy;
    this.trouble.hidden = !this.failed;
    if (this.failed) {
      const { event, shown, isAnswer, message } = this.failed;
      this.trouble.replaceChildren(make("p", {}, `${message} Nothing is lost.`),
        make("button", { class: "button", type: "button", onclick: () => this.tell(event, shown, isAnswer) }, "Try again"));
    }
    this.changed();
  }
}

function documentLink({ name, content, media_type: kind, mediaType }) {
  const address = URL.createObjectURL(new Blob([content], { type: mediaType ?? kind }));
  return make("a", { href: address, download: name }, `Save ${name}`);
}
