// The catalogue of texts that came with the page, and what else the server told it.

export const boot = JSON.parse(document.getElementById("boot").textContent);

const plural = new Intl.PluralRules(boot.language);

export const has = (key) => Object.hasOwn(boot.texts, key);

export function t(key, values = {}) {
  if (!has(key)) throw new Error(`no text for ${key}`);
  return boot.texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function count(key, n, values = {}) {
  return t(`${key}.${plural.select(n) === "one" ? "one" : "other"}`, { n, ...values });
}
