/** Telegram's side of the page: sign-in data, theme, buttons, closing confirmation. In a plain browser the page's own buttons take over. */

const SCRIPT = "https://telegram.org/js/telegram-web-app.js";

/** Whether Telegram opened this page: it says so in the fragment, which the script reads too. */
export function isInTelegram() {
  return /(^|[#&])tgWebApp(Data|Version|Platform)=/.test(location.hash) || Boolean(window.TelegramWebviewProxy);
}

/** Load Telegram's script where there is a Telegram to talk to. Nothing else is ever loaded from elsewhere. */
export async function openTelegram() {
  if (!isInTelegram()) return null;
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.onload = resolve;
    script.onerror = () => reject(new Error("Telegram's script could not be loaded. Check the connection and open this again."));
    document.head.append(script);
  });
  const app = window.Telegram.WebApp;
  document.body.classList.add("in-telegram");
  app.ready();
  app.expand();
  return app;
}

/** Follow the theme: Telegram sets the colours as CSS variables, this says which fallbacks fit them. */
export function followTheme(app) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    document.documentElement.dataset.theme = (app ? app.colorScheme === "dark" : dark.matches) ? "dark" : "light";
    const background = getComputedStyle(document.body).backgroundColor;
    const hex = "#" + (background.match(/\d+/g) || []).slice(0, 3).map((part) => Number(part).toString(16).padStart(2, "0")).join("");
    if (app?.isVersionAtLeast("6.1") && hex.length === 7) {
      app.setHeaderColor(hex);
      app.setBackgroundColor(hex);
    }
  };
  if (app) app.onEvent("themeChanged", paint);
  else dark.addEventListener("change", paint);
  paint();
}

/** The main, secondary and back buttons: Telegram's where it has them, the page's own otherwise. */
export class Actions {
  constructor(app) {
    this.buttons = {
      main: new Action(app?.MainButton, document.getElementById("main")),
      secondary: new Action(app?.isVersionAtLeast("7.10") ? app.SecondaryButton : null, document.getElementById("secondary")),
      back: new Back(app?.isVersionAtLeast("6.1") ? app.BackButton : null),
    };
    this.footer = document.getElementById("actions");
  }

  /** Show these and hide the others: `{main: {text, press, busy}, secondary: {...}, back: {press}}`. */
  show(wanted) {
    for (const [name, button] of Object.entries(this.buttons)) button.set(wanted[name] ?? null);
    this.footer.hidden = [...this.footer.querySelectorAll("button")].every((button) => button.hidden);
  }
}

class Action {
  constructor(native, element) {
    this.native = native;
    this.element = element;
    this.press = null;
    const run = () => this.press?.();
    if (native) native.onClick(run);
    else element.addEventListener("click", run);
  }

  set(wanted) {
    this.press = wanted?.busy ? null : (wanted?.press ?? null);
    if (!this.native) {
      this.element.hidden = !wanted;
      this.element.textContent = wanted?.text ?? "";
      this.element.disabled = Boolean(wanted?.busy);
      return;
    }
    if (!wanted) {
      this.native.hideProgress();
      this.native.hide();
      return;
    }
    this.native.setParams({ text: wanted.text, is_visible: true, is_active: !wanted.busy });
    if (wanted.busy) this.native.showProgress(true);
    else this.native.hideProgress();
  }
}

/** Telegram's back button; in a plain browser the sections above the page lead back. */
class Back {
  constructor(native) {
    this.native = native;
    this.press = null;
    native?.onClick(() => this.press?.());
  }

  set(wanted) {
    this.press = wanted?.press ?? null;
    if (wanted) this.native?.show();
    else this.native?.hide();
  }
}

/** Ask before the page closes while something would be lost. */
export function guardClosing(app, isNeeded) {
  if (app?.isVersionAtLeast("6.2")) {
    if (isNeeded) app.enableClosingConfirmation();
    else app.disableClosingConfirmation();
  }
  window.onbeforeunload = isNeeded && !app ? (event) => event.preventDefault() : null;
}
