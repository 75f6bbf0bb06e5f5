/** Elements from plain values. Text is only ever set as text, so nothing that a user or a model wrote becomes markup. */

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

const ELEMENTS = { bold: "strong", italic: "em", code: "code", pre: "pre", quote: "blockquote", link: "a" };

const BLOCKS = new Set(["quote", "pre"]);

/** A reply's text with its spans; offsets count Unicode characters, so the text is cut as those. */
export function styledText(plain, spans = []) {
  const characters = Array.from(plain);
  const sorted = [...spans].sort((a, b) => a.offset - b.offset || b.length - a.length);
  const build = (from, to, inside) => {
    const fragment = document.createDocumentFragment();
    let at = from;
    let index = 0;
    while (index < inside.length) {
      const span = inside[index];
      const end = Math.min(span.offset + span.length, to);
      const within = [];
      index += 1;
      while (index < inside.length && inside[index].offset < end) within.push(inside[index++]);
      fragment.append(characters.slice(at, span.offset).join(""));
      const element = make(ELEMENTS[span.style] ?? "span");
      if (span.style === "link" && /^https?:\/\//.test(span.url ?? "")) {
        element.href = span.url;
        element.target = "_blank";
        element.rel = "noreferrer noopener";
      }
      element.append(build(span.offset, end, within));
      fragment.append(element);
      // A block ends its line by itself.
      at = BLOCKS.has(span.style) && characters[end] === "\n" ? end + 1 : end;
    }
    fragment.append(characters.slice(at, to).join(""));
    return fragment;
  };
  return build(0, characters.length, sorted);
}

/** A bar that says its own value. */
export function progressBar(part, whole, label) {
  const share = whole > 0 ? Math.min(1, part / whole) : 0;
  const picture = draw("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 1" }, draw("rect", { width: share * 100, height: 1 }));
  return make("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": whole, "aria-valuenow": part }, picture);
}
