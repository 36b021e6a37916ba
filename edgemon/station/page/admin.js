// Administration: which bed hangs on which device, who may come in, and what anybody ever did.

import { ask, get, inPath } from "./api.js";
import { el, put, show } from "./dom.js";
import * as live from "./live.js";
import { cards, may, me, start } from "./shell.js";
import { sure } from "./sure.js";
import { table } from "./tables.js";
import { dated, t, word } from "./words.js";

const ROLES = ["view", "acknowledge", "administer"];
const id = (name) => document.getElementById(name);
let audit = [];

function tell(text, refused = false) {
  put(id("told"), text);
  id("told").classList.toggle("refused", refused);
}

/** Does something, says so, and shows what is true afterwards. */
async function change(method, path, body, words) {
  try {
    await ask(method, path, body);
    tell(words);
    await load();
    return true;
  } catch (error) {
    tell(t("refused.device", { reason: error.message }), true);
    return false;
  }
}

function drawAssignments(rows) {
  const headings = ["assign.label", "assign.place", "assign.from", "assign.to", "assign.by", "admin.do"].map((key) => t(key));
  const open = (row) => row.to_ms === null;
  const sorted = [...rows].sort((a, b) => open(b) - open(a) || a.label.localeCompare(b.label, undefined, { numeric: true }) || b.from_ms - a.from_ms);
  id("assignments").replaceChildren(sorted.length ? table(t("assign.heading"), headings, sorted.map((row) => [row.label, row.place, dated(row.from_ms),
    open(row) ? t("assign.now") : dated(row.to_ms), row.by,
    open(row) ? sure(t("assign.end"), row.label, () => change("DELETE", `/api/assignments/${inPath(row.place)}`, undefined, t("assign.ended", row))) : ""]))
    : el("p", {}, t("assign.none")));
}

function roleOf(account) {
  const select = el("select", { "aria-label": t("accounts.role_of", account), disabled: account.name === me.name },
    ...ROLES.map((role) => el("option", { value: role, selected: role === account.role }, word("role", role))));
  select.addEventListener("change", () => change("PATCH", `/api/accounts/${encodeURIComponent(account.name)}`, { role: select.value }, t("accounts.changed", account))
    .then((done) => done || (select.value = account.role)));
  return select;
}

function drawAccounts(rows) {
  const headings = ["accounts.name", "accounts.role", "accounts.created", "admin.do"].map((key) => t(key));
  id("accounts").replaceChildren(table(t("accounts.heading"), headings, rows.map((account) => {
    const off = account.disabled_ms !== null;
    const path = `/api/accounts/${encodeURIComponent(account.name)}`;
    const disable = () => change("PATCH", path, { disabled: true }, t("accounts.disabled_now", account));
    const enable = () => change("PATCH", path, { disabled: false }, t("accounts.enabled_now", account));
    const act = off ? el("span", {}, t("accounts.disabled", { at: dated(account.disabled_ms) }), " ", sure(t("accounts.enable"), account.name, enable))
      : account.name === me.name ? t("accounts.you") : sure(t("accounts.disable"), account.name, disable);
    return [account.name, off ? word("role", account.role) : roleOf(account), dated(account.created_ms), act];
  })));
}

function drawAudit() {
  const headings = ["audit.at", "audit.who", "audit.what", "audit.place", "audit.detail"].map((key) => t(key));
  id("audit").replaceChildren(audit.length ? table(t("audit.heading"), headings, audit.map((row) => [dated(row.at_ms), row.who, row.what, row.place ?? "", row.detail]))
    : el("p", {}, t("audit.none")));
}

async function more() {
  const rows = await get(`/api/audit?before=${audit.at(-1).n}`);
  audit.push(...rows);
  show(id("more"), rows.length > 0);
  drawAudit();
}

async function load() {
  const local = me.auth === "local";
  show(id("accounts-panel"), local);
  const [assignments, accounts, newest] = await Promise.all([get("/api/assignments?ended=1"), local ? get("/api/accounts") : [], get("/api/audit")]);
  audit = newest;
  drawAssignments(assignments);
  if (local) drawAccounts(accounts);
  drawAudit();
  show(id("more"), audit.length > 0);
}

function places() {
  id("places").replaceChildren(...[...cards.values()].map((card) => el("option", { value: card.place }, card.label)));
}

function form(name, method, path, words) {
  id(name).addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = Object.fromEntries(new FormData(event.target));
    if (await change(method, path, body, t(words, body))) event.target.reset();
  });
}

let asked = false;
await start({
  cards: places,
  tick(now) {
    if (now === null || asked || !may("administer")) return;
    asked = true;
    load().then(() => show(id("all"), true), (error) => tell(t("refused.device", { reason: error.message }), true));
  },
});
document.title = t("admin.heading");
id("role").append(...ROLES.map((role) => el("option", { value: role }, word("role", role))));
id("more").addEventListener("click", () => more().catch((error) => tell(t("refused.device", { reason: error.message }), true)));
form("assign", "POST", "/api/assignments", "assign.added");
form("account", "POST", "/api/accounts", "accounts.added");
if (!may("administer")) tell(t("admin.not_you"), true);
