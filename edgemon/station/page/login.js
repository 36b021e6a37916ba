// Logging in: a plain form, so that password managers know it.

import { put, show } from "./dom.js";
import { load, t } from "./words.js";

const id = (name) => document.getElementById(name);

/** Only a page of this station is a place to go on to. */
function next() {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  if (!URL.canParse(asked, location.origin)) return "/";
  const target = new URL(asked, location.origin);
  const here = target.origin === location.origin && /^\/(?!\/)/.test(target.pathname); // "/.//evil" is parsed to the path "//evil"
  return here ? target.pathname + target.search : "/";
}

const answer = await fetch("/api/me", { headers: { Accept: "application/json" }, cache: "no-store" }).catch(() => null);
const me = (await answer?.json().catch(() => null)) ?? {};
await load(me.language);
if (me.auth === "open") location.replace(next()); // everybody is in already
document.title = t("login.title");
put(id("station"), me.station ?? "edgemon");
id("csrf").value = me.csrf ?? "";
id("next").value = next();
show(id("oidc"), me.auth === "oidc");
id("enter").href = `/login/oidc?next=${encodeURIComponent(next())}`;
show(id("form"), me.auth !== "oidc");
if (me.auth !== "oidc") document.querySelector("[name=name]").focus();
const error = answer === null ? "unreachable" : new URLSearchParams(location.search).get("error");
const WORDS = { unreachable: "error.unreachable", limit: "login.limit", stale: "login.stale", oidc: "login.failed", role: "login.role" };
put(id("refused"), error === null ? "" : t(WORDS[error] ?? "login.refused"));
show(id("refused"), error !== null);
