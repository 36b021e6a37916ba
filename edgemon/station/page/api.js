// Asking the station. Without a login a page leads to the login page, unless it has begun: a wall screen must not end in a quiet form.

import { t } from "./words.js";

let csrf = "";
let onEnd = null; // what a page that has begun does when its login has ended

/** What the station refused, and its one line why. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Goes to log in; never answers, for this page ends. A page that has begun stays, and the question is refused. */
function leave() {
  if (onEnd !== null) {
    onEnd();
    throw new Refused(401, t("ended.bar"));
  }
  location.assign(loginPath());
  return new Promise(() => {});
}

/** From now on a login that has ended leads nowhere: `ended` says so on the page. */
export function stay(ended) {
  onEnd = ended;
}

/** Where to log in and to come back here. */
export const loginPath = () => `/login?next=${encodeURIComponent(location.pathname + location.search)}`;

/** Remembers the token of this login that every change must carry. */
export function trust(token) {
  csrf = token ?? "";
}

/** One request; the JSON of the answer, null where it has none. */
export async function ask(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(10_000),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, t("error.unreachable"));
  }
  if (answer.status === 401) return leave();
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, told?.error ? String(told.error) : t("error.status", { status: answer.status }));
  return told;
}

export const get = (path) => ask("GET", path);

/** A place in an address: its slashes stay, all else is escaped. */
export const inPath = (place) => String(place).split("/").map(encodeURIComponent).join("/");
