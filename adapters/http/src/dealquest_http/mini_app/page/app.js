/** Start, sign in, and move between the three views. */

import { Coach } from "./coach.js";
import { progressView, standing, todayView } from "./progress.js";
import { readConfig, readOwnRows, signInByTelegram, signInForDevelopment } from "./server.js";
import { Actions, followTheme, guardClosing, openTelegram } from "./telegram.js";
import { make } from "./words.js";

const view = document.getElementById("view");
const tabs = document.getElementById("tabs");
const status = document.getElementById("status");

const announce = (text) => { status.textContent = ""; requestAnimationFrame(() => { status.textContent = text; }); };

class App {
  constructor(telegram) {
    this.telegram = telegram;
    this.actions = new Actions(telegram);
    this.at = null;
    this.now = null;
    this.coach = new Coach({
      announce,
      changed: () => this.drawActions(),
      haptics: (kind) => telegram?.isVersionAtLeast("6.1") && telegram.HapticFeedback.notificationOccurred(kind),
    });
    for (const tab of tabs.querySelectorAll("button")) tab.addEventListener("click", () => this.go(tab.dataset.view));
  }

  async start() {
    this.now = standing(await readOwnRows());
    tabs.hidden = false;
    const isNews = await this.coach.showWaiting();
    this.coach.draw();
    this.coach.watch();
    await this.go(isNews || this.coach.hasDraft ? "coach" : "today", false);
  }

  async go(name, refresh = true) {
    this.at = name;
    for (const tab of tabs.querySelectorAll("button")) {
      if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    this.draw();
    if (name === "coach") {
      if (this.coach.isEmpty) await this.coach.hello();
    } else if (refresh) {
      try {
        this.now = standing(await readOwnRows());
        if (this.at === name) this.draw();
      } catch (error) {
        announce(error.message);
      }
    }
  }

  draw() {
    const shown = this.at === "coach" ? this.coach.element : this.at === "progress" ? progressView(this.now, (level) => this.begin(`learn:level:${level.id}`, level.name)) : todayView(this.now);
    const isNew = view.firstElementChild !== shown;
    if (isNew) view.replaceChildren(shown);
    view.querySelector("h1")?.focus({ preventScroll: true });
    if (isNew && this.at !== "coach") window.scrollTo(0, 0);
    this.drawActions();
  }

  drawActions() {
    guardClosing(this.telegram, this.coach.hasDraft);
    this.actions.show(this.wanted());
  }

  /** Which of Telegram's buttons this view wants. */
  wanted() {
    if (this.at === "today") {
      const next = this.now.next;
      const practise = { text: "Practise a scenario", press: () => this.begin("go:train", "Practise a scenario") };
      if (!next) return { main: practise };
      const text = next.level.status === "in_progress" ? "Continue the lesson" : "Start the lesson";
      return { main: { text, press: () => this.begin(`learn:level:${next.level.id}`, next.level.name) }, secondary: practise };
    }
    const back = { press: () => this.go("today") };
    if (this.at === "coach") {
      const isWriting = !this.coach.answer.hidden || this.coach.busy;
      return { back, main: isWriting && (this.coach.hasDraft || this.coach.busy) ? { text: this.coach.busy ? "One moment" : "Send answer", busy: this.coach.busy, press: () => this.coach.send() } : null };
    }
    return { back };
  }

  async begin(data, label) {
    this.at = "coach";
    const told = this.coach.press(data, label);
    await this.go("coach");
    await told;
  }
}

/** A page of its own for what stands in the way. */
function showTrouble(title, message, retry) {
  view.replaceChildren(make("div", { class: "view stack", role: "alert" }, make("h1", { tabindex: -1 }, title), make("p", {}, message),
    retry && make("button", { class: "button", type: "button", onclick: retry }, "Try again")));
  view.querySelector("h1").focus();
}

function showDevSignIn(enter) {
  const field = make("input", { id: "name", class: "field", maxlength: 40, autocomplete: "off", value: "Dev" });
  const form = make("form", { class: "view stack", onsubmit: (event) => { event.preventDefault(); enter(field.value.trim() || "Dev"); } },
    make("h1", { tabindex: -1 }, "Development sign-in"),
    make("p", { class: "muted" }, "Telegram did not open this page, and the server allows a sign-in without it."),
    make("label", { for: "name" }, "Name"), field, make("button", { class: "button", type: "submit" }, "Sign in"));
  view.replaceChildren(form);
  field.focus();
}

async function start() {
  view.setAttribute("aria-busy", "true");
  try {
    const telegram = await openTelegram();
    followTheme(telegram);
    const { devSignIn } = await readConfig();
    document.getElementById("dev").hidden = !devSignIn;
    const app = new App(telegram);
    if (telegram?.initData) {
      await signInByTelegram(telegram.initData);
      await app.start();
    } else if (devSignIn) {
      showDevSignIn((name) => guarded(async () => { await signInForDevelopment(name); await app.start(); }));
    } else {
      showTrouble("Open this in Telegram", "This app signs you in through Telegram. Open it from the bot’s menu button.");
    }
  } catch (error) {
    fail(error);
  } finally {
    view.removeAttribute("aria-busy");
  }
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  const denied = [400, 401, 403].includes(error.status);
  showTrouble(denied ? "You are not signed in" : "That did not work", denied ? `${error.message} Close this and open it from the bot again.` : error.message,
    denied ? null : () => location.reload());
}

start();
