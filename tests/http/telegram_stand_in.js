// Stands in for Telegram's script in tests: the same face, and a record of what the page asked for.
(() => {
  const launch = new URLSearchParams(location.hash.slice(1));
  const calls = [];
  const handlers = {};
  const button = (name) => ({
    text: "", isVisible: false, isActive: true, isBusy: false, press: [],
    setParams(wanted) {
      this.text = wanted.text ?? this.text;
      this.isVisible = wanted.is_visible ?? this.isVisible;
      this.isActive = wanted.is_active ?? this.isActive;
      return this;
    },
    onClick(handler) { this.press.push(handler); return this; },
    show() { this.isVisible = true; return this; },
    hide() { this.isVisible = false; return this; },
    showProgress() { this.isBusy = true; return this; },
    hideProgress() { this.isBusy = false; return this; },
    click() { calls.push(`${name}.click`); this.press.forEach((handler) => handler()); },
  });
  const numbers = (text) => text.split(".").map(Number);
  const version = launch.get("tgWebAppVersion") || "8.0";
  const theme = JSON.parse(launch.get("tgWebAppThemeParams") || "{}");
  for (const [name, color] of Object.entries(theme)) document.documentElement.style.setProperty(`--tg-theme-${name.replaceAll("_", "-")}`, color);
  document.documentElement.style.setProperty("--tg-safe-area-inset-bottom", "21px");
  document.documentElement.style.setProperty("--tg-content-safe-area-inset-top", "47px");
  window.Telegram = {
    calls,
    WebApp: {
      initData: launch.get("tgWebAppData") || "",
      version,
      colorScheme: launch.get("dark") ? "dark" : "light",
      isClosingConfirmationEnabled: false,
      MainButton: button("main"),
      SecondaryButton: button("secondary"),
      BackButton: button("back"),
      HapticFeedback: { notificationOccurred: (kind) => calls.push(`haptic.${kind}`) },
      isVersionAtLeast(wanted) {
        const [a, b] = numbers(wanted);
        const [c, d] = numbers(version);
        return c > a || (c === a && d >= b);
      },
      ready: () => calls.push("ready"),
      expand: () => calls.push("expand"),
      setHeaderColor: (color) => calls.push(`header.${color}`),
      setBackgroundColor: (color) => calls.push(`background.${color}`),
      enableClosingConfirmation() { this.isClosingConfirmationEnabled = true; },
      disableClosingConfirmation() { this.isClosingConfirmationEnabled = false; },
      onEvent: (name, handler) => { (handlers[name] ??= []).push(handler); },
      fire: (name) => (handlers[name] ?? []).forEach((handler) => handler()),
    },
  };
})();
