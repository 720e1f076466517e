"use strict";
// What an application, a client or a file can say is put on the page as text (textContent), never as markup.
const SVG = "http://www.w3.org/2000/svg", POINTS = 180;
const at = (id) => document.getElementById(id);
let token = "", mayAct = false, ahead = 0;

function make(tag, facts = {}, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) node.setAttribute(name, value);
  node.append(...inside);
  return node;
}
function write(node, text, kind) {
  const words = String(text);
  if (node.textContent !== words) node.textContent = words;
  if (kind !== undefined) { node.classList.remove("good", "warn", "bad"); if (kind) node.classList.add(kind); }
}
const seconds = (s) => s >= 100 ? `${Math.round(s)} s` : s >= 1 ? `${s.toFixed(1)} s` : `${(s * 1000).toFixed(s < 0.01 ? 1 : 0)} ms`;
function age(s) {
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${Math.floor(s % 60)} s` : `${Math.floor(s)} s`;
}
const bytes = (n) => n === null || n === undefined ? "?" : n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(2)} GiB` : `${(n / 2 ** 20).toFixed(1)} MiB`;
const number = (n) => n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(2);

// Named values: <dl> of tiles, whose texts change in place.
function tiles(list, names) {
  const found = {};
  for (const [key, label] of names) {
    found[key] = make("dd", { "data-is": key });
    list.append(make("div", {}, make("dt", {}, label), found[key]));
  }
  return found;
}
// Rows of a table by key: they stay the same elements while they are there.
function table(columns, kind = "plain") {
  const body = make("tbody"), rows = new Map();
  const head = make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name))));
  return {
    box: make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": columns.join(", ") }, make("table", { class: kind }, head, body)),
    show(wanted) {
      const present = new Set(wanted.map(([key]) => String(key)));
      for (const [key, row] of rows) if (!present.has(key)) { row.remove(); rows.delete(key); }
      for (const [key, cells] of wanted) {
        let row = rows.get(String(key));
        if (!row) { row = make("tr", { "data-key": key }, ...columns.map(() => make("td"))); rows.set(String(key), row); body.append(row); }
        cells.forEach((text, index) => write(row.cells[index], text));
      }
    },
  };
}
function plot(title, lines, unit) {
  const svg = document.createElementNS(SVG, "svg"), paths = [], keys = [];
  svg.setAttribute("viewBox", "0 0 600 100"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("role", "img");
  const legend = make("div", { class: "legend" }), top = make("span");
  lines.forEach(([, label], index) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `s${index}`); svg.append(path); paths.push(path);
    const key = make("span", { class: `k${index}` }); legend.append(key); keys.push([key, label]);
  });
  const axis = make("div", { class: "axis" }, make("span", {}, "15 min ago"), top, make("span", {}, "now"));
  const box = make("figure", {}, make("figcaption", {}, make("h4", {}, title), legend), svg, axis);
  return {
    box,
    draw(rows, columns, last) {
      const series = lines.map(([name]) => columns.indexOf(name));
      let most = 0;
      for (const row of rows.values()) for (const index of series) if (row[index] > most) most = row[index];
      const said = [];
      series.forEach((index, which) => {
        let way = "", pen = "M", latest = null;
        for (let n = Math.max(0, last - POINTS); n < last; n++) {
          const value = rows.has(n) ? rows.get(n)[index] : null;
          if (value === null) { pen = "M"; continue; }
          const x = 600 * (n - last + POINTS) / (POINTS - 1), y = 97 - 94 * (most ? value / most : 0);
          way += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`; pen = "L";
          if (n === last - 1) latest = value;
        }
        paths[which].setAttribute("d", way);
        said.push(`${keys[which][1]} ${latest === null ? "–" : unit(latest)}`);
        write(keys[which][0], said[which]);
      });
      write(top, `highest ${unit(most)}`);
      svg.setAttribute("aria-label", `${title}, last 15 minutes: now ${said.join(", ")}; highest ${unit(most)}`);
    },
  };
}
const limitTable = () => table(["limit", "value", "from"], "wrap");
const limitRows = (limits) => limits.map((one) => [one.key, [one.key, one.value, one.origin]]);

class Card {
  constructor(name) {
    this.rows = new Map(); this.last = 0;
    this.state = make("span", { class: "badge", "data-is": "state" });
    this.buttons = make("span", { hidden: "" });
    for (const verb of ["restart", "pause", "resume"]) {
      const button = make("button", { type: "button", "data-verb": verb, "aria-label": `${verb} ${name}` }, verb);
      button.addEventListener("click", () => act(verb, name));
      this.buttons.append(button, " ");
    }
    const list = make("dl", { class: "tiles" });
    this.values = tiles(list, [["processes", "processes"], ["busy", "requests running"], ["queue", "queue"], ["requests", "requests"],
      ["refused", "refused"], ["spawns", "starts"], ["spawn_failures", "failed starts"], ["crashes", "crashes"]]);
    this.plots = [
      plot("Throughput", [["requests", "requests/s"], ["errors", "5xx/s"]], number),
      plot("Latency", [["p50", "p50"], ["p95", "p95"], ["p99", "p99"]], seconds),
      plot("Queue and processes", [["queue", "queue"], ["processes", "processes"], ["busy", "busy"]], number),
      plot("Memory (PSS)", [["pss", "memory"]], bytes),
    ];
    this.processes = table(["PID", "state", "age", "requests", "running", "memory", "CPU"]);
    this.limits = limitTable();
    this.about = make("p", { class: "quiet" });
    this.box = make("article", { "data-app": name }, make("div", { class: "head" }, make("h3", {}, name), this.state, this.buttons), this.about, list,
      make("div", { class: "plots" }, ...this.plots.map((one) => one.box)), make("h4", {}, "Processes"), this.processes.box,
      make("details", {}, make("summary", {}, "Limits, and where they are set"), this.limits.box));
  }
  show(group, loop) {
    const [kind, words] = this.health(group, loop), c = group.counters;
    write(this.state, words, kind);
    write(this.about, [group.app_type, group.app_env, group.app_root].filter(Boolean).join(", "));
    const enabled = group.processes.filter((one) => one.state === "enabled");
    write(this.values.processes, group.processes.length + (group.max_instances ? ` of ${group.max_instances}` : ""));
    write(this.values.busy, enabled.reduce((sum, one) => sum + one.sessions, 0));
    write(this.values.queue, group.queue, group.queue ? "warn" : "");
    for (const key of ["requests", "spawns", "spawn_failures", "crashes"]) write(this.values[key], c[key], key.includes("s_f") + key.includes("crash") && c[key] ? "bad" : "");
    write(this.values.refused, c.refused_queue_full + c.refused_queue_time + c.refused_spawn_failed);
    this.processes.show(group.processes.map((one) => [one.pid, [one.pid, one.state + (one.outdated ? " (old code)" : ""), age(one.uptime), one.processed,
      one.sessions, bytes(one.pss), one.cpu_seconds === null ? "?" : `${one.cpu_seconds.toFixed(1)} s`]]));
    this.buttons.hidden = !(mayAct && token);
  }
  health(group, loop) {
    if (loop) return ["bad", group.backing_off_for > 0 ? `crash loop: next start in ${age(group.backing_off_for)}` : "crash loop"];
    if (group.traffic && group.traffic.paused_at !== null) return ["warn", `paused, ${group.traffic.held} held`];
    if (group.traffic && group.traffic.maintenance_at !== null) return ["warn", "maintenance"];
    if (group.restart && group.restart.state === "running") return ["warn", `restarting, ${group.restart.done} of ${group.restart.total}`];
    if (group.restart && group.restart.state === "failed") return ["bad", "restart failed"];
    if (group.processes.some((one) => one.state === "enabled")) return ["good", "serving"];
    return group.last_error ? ["bad", "does not start"] : ["warn", group.spawning ? "starting" : "idle"];
  }
  take(told, all) {
    told.rows.forEach((row, index) => this.rows.set(told.first + index, row));
    this.last = all.next;
    for (const key of this.rows.keys()) if (key < this.last - POINTS || key >= this.last) this.rows.delete(key);
    for (const one of this.plots) one.draw(this.rows, all.columns, this.last);
  }
}

const cards = new Map(), failures = new Map(), instanceLimits = limitTable();
const summary = tiles(at("summary"), [["processes", "processes"], ["queue", "queue"], ["active", "connections"], ["handled", "answered"],
  ["aborted", "clients left"], ["tunnels", "WebSockets"]]);
at("instance-limits").append(make("details", {}, make("summary", {}, "Limits, and where they are set"), instanceLimits.box));
let limits = [];

function showState(told) {
  const { status } = told, { pool } = status;
  mayAct = told.may_act; ahead = Date.now() / 1000 - told.now;
  document.title = `Passenger ${status.name}`;
  write(at("name"), status.name);
  write(at("state"), status.drained_at === null ? status.state : `${status.state}, drained`, status.state === "running" ? "good" : "warn");
  write(at("about"), `version ${status.version}, up ${age(status.uptime)}, core PID ${status.core_pid}`);
  write(summary.processes, `${pool.processes} of ${pool.max_pool_size}`);
  write(summary.queue, pool.queue, pool.queue ? "warn" : "");
  for (const key of ["active", "handled", "aborted", "tunnels"]) write(summary[key], status.requests[key]);
  const names = new Set(pool.groups.map((group) => group.name));
  for (const [name, card] of cards) if (!names.has(name)) { card.box.remove(); cards.delete(name); }
  for (const group of pool.groups) {
    if (!cards.has(group.name)) { const card = new Card(group.name); cards.set(group.name, card); at("cards").append(card.box); showLimits(); }
    cards.get(group.name).show(group, told.loops[group.name]);
  }
  at("may-act").hidden = !mayAct;
  showWanted(told.loops, pool.groups);
  showFailures(told.failures);
}
function showWanted(loops, groups) {
  const lines = groups.flatMap((group) => {
    const loop = loops[group.name], found = [];
    if (loop) found.push(`${group.name}: crash loop, ${loop.crashes} crashes and ${loop.failed_starts} failed starts in 15 minutes`);
    if (group.last_error && (loop || !group.processes.length)) found.push(`${group.name}: ${group.last_error.summary} (error ${group.last_error.id})`);
    return found;
  });
  at("attention").hidden = !lines.length;
  if (at("wanted").dataset.said !== lines.join("\n")) {
    at("wanted").dataset.said = lines.join("\n");
    at("wanted").replaceChildren(...lines.map((line) => make("li", {}, line)));
  }
}
function showLimits() {
  instanceLimits.show(limitRows(limits.filter((one) => !one.app)));
  for (const [name, card] of cards) card.limits.show(limitRows(limits.filter((one) => one.app === name)));
}
function showFailures(list) {
  at("none-failed").hidden = list.length > 0;
  const present = new Set(list.map((one) => one.id));
  for (const [id, box] of failures) if (!present.has(id)) { box.remove(); failures.delete(id); }
  [...list].reverse().forEach((one) => {
    if (failures.has(one.id)) return;
    const when = new Date((one.at + ahead) * 1000).toLocaleTimeString();
    const steps = one.steps.map(([step, state, took]) => make("li", { class: state === "failed" ? "bad" : state === "done" ? "good" : "quiet" },
      `${step}: ${state}${state === "not started" ? "" : `, ${seconds(took)}`}`));
    const box = make("details", { "data-failure": one.id }, make("summary", {}, `${when} ${one.app}: ${one.summary}`), make("p", { class: "quiet" }, `error ${one.id} (${one.category}) ${one.hint}`),
      make("h4", {}, "Journey"), make("ol", {}, ...steps));
    if (one.has_output) {
      const button = make("button", { type: "button", "aria-label": `What ${one.app} wrote, error ${one.id}` }, "What it wrote (with the token)");
      button.addEventListener("click", async () => {
        const answer = await ask("GET", `/dashboard/output?id=${encodeURIComponent(one.id)}`);
        if (answer.output !== undefined) button.replaceWith(make("pre", { tabindex: "0" }, answer.output));
      });
      box.append(button);
    }
    failures.set(one.id, box); at("failures").prepend(box);
  });
}
async function ask(method, url) {
  let answer = {};
  try {
    const got = await fetch(url, { method, headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
    answer = await got.json();
  } catch (error) { answer = { error: `no answer: ${error.message}` }; }
  write(at("said"), answer.error ? `${answer.error}${answer.hint ? ` (${answer.hint})` : ""}` : answer.done ? `done: ${answer.done}` : "", answer.error ? "bad" : "good");
  return answer;
}
const act = (verb, app) => ask("POST", `/dashboard/act?verb=${verb}&app=${encodeURIComponent(app)}`);
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  write(at("said"), token ? "the token is used from now on" : "no token", token ? "good" : "");
  for (const card of cards.values()) card.buttons.hidden = !(mayAct && token);
});

function listen() {
  const source = new EventSource("/dashboard/events");
  source.addEventListener("state", (event) => { write(at("live"), "live", "good"); showState(JSON.parse(event.data)); });
  source.addEventListener("limits", (event) => { limits = JSON.parse(event.data); showLimits(); });
  source.addEventListener("series", (event) => {
    const told = JSON.parse(event.data);
    for (const [name, rows] of Object.entries(told.apps)) if (cards.has(name)) cards.get(name).take(rows, told);
  });
  source.addEventListener("error", () => {
    write(at("live"), "no connection: trying again", "bad");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}
listen();
