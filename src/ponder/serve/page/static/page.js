"use strict";
// The page works without this: the form is sent, and the answer's page comes. Here one can watch meanwhile.
// What the server says is only ever shown as text.
const form = document.getElementById("ask");
const byId = (id) => document.getElementById(id);

function say(text) { byId("status").textContent = text; }

function show(event) {
  if (event.type === "begun") {
    if (event.most) {
      byId("done").max = event.most;
      byId("done").value = 0;
      byId("most").textContent = `of at most ${event.most.toLocaleString("en")}`;
    }
  } else if (event.type === "progress") {
    byId("done").value = event.done;
    for (const [name, text] of Object.entries(event.figures)) {
      document.querySelector(`[data-figure="${name}"]`).textContent = text;
    }
  } else if (event.type === "summary") {
    byId("summary").textContent += event.text;
  } else if (event.type === "answer") {
    write(event.text);
  } else if (event.type === "failed") {
    throw new Error(event.message);
  }
}

// What is written is heard of when it begins and when it is whole, not word by word.
function write(text) {
  if (byId("writing").hidden) say("The answer is being written.");
  byId("writing").hidden = false;
  byId("written").append(text);
  byId("written").normalize();
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const part of whole) {
      if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
    }
  }
}

// A page as a document of its own, in which nothing runs.
function read(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = () => resolve(request.response);
    request.onerror = () => reject(new Error("The connection was lost; reload this page."));
    request.send();
  });
}

async function ask(stopped) {
  const response = await fetch(form.action, {
    method: "POST",
    headers: { accept: "text/event-stream" },
    body: new URLSearchParams(new FormData(form)),
    signal: stopped,
  });
  if (!response.ok) throw new Error((await response.json()).error.message);
  for await (const event of events(response)) {
    show(event);
    if (event.type === "told") return event.address;
  }
  throw new Error("The connection was lost; ask again.");
}

function begin() {
  byId("outcome").replaceChildren();
  byId("writing").hidden = true;
  byId("growing").textContent = "Answer";
  byId("written").textContent = "";
  byId("failed").hidden = true;
  byId("summary").textContent = "";
  byId("most").textContent = "";
  byId("done").removeAttribute("value");
  for (const figure of document.querySelectorAll("[data-figure]")) figure.textContent = "–";
  byId("thinking").hidden = false;
  byId("thinking").scrollIntoView({ block: "nearest" });
  form.querySelector("button").disabled = true;
  say("Thinking.");
}

async function run() {
  const stopping = new AbortController();
  byId("stop").onclick = () => stopping.abort();
  begin();
  try {
    const address = await ask(stopping.signal);
    const told = await read(address);
    const stays = !byId("writing").hidden; // the answer stands there already, and is perhaps being read
    byId("writing").hidden = true;
    byId("outcome").replaceWith(document.adoptNode(told.getElementById("outcome")));
    history.pushState(null, "", address);
    document.title = told.title;
    say("The answer is there.");
    byId("answer").focus({ preventScroll: stays });
  } catch (error) {
    byId("failed").textContent = stopping.signal.aborted ? "Stopped. What was spent until then is counted." : error.message;
    byId("failed").hidden = false;
    byId("growing").textContent = "Answer, as far as it came";
    say("");
  } finally {
    // A button that is hidden or disabled loses the focus; from here one asks again.
    const lost = byId("thinking").contains(document.activeElement) || document.activeElement === document.body;
    byId("thinking").hidden = true;
    form.querySelector("button").disabled = false;
    if (lost) form.querySelector("button").focus({ preventScroll: true });
  }
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  window.addEventListener("popstate", () => location.reload());
}
