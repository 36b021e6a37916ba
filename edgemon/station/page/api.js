// Asking the station. A login that has ended leads to the login page; every other refusal is told in words.

import { t } from "./words.js";

let csrf = "";

/** What the station refused, and its one line why. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Goes to log in and to come back here; never answers, for this page ends. */
function leave() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  return new Promise(() => {});
}

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
