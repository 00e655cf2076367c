import { clockButtons, element, fill, flip, poll, showClock } from "./live.js";

const get = (id) => document.getElementById(id);
const { number, campaign } = get("inbox").dataset;
const frame = get("mail");
let shown = "";

function fit() {
  const page = frame.contentDocument?.body;
  if (page) frame.style.height = `${page.offsetHeight + 2}px`;
}

// The mail's own links do the work; this only starts the stop-watch at the very moment of the click.
function mailIsOpen() {
  fit();
  frame.contentDocument?.addEventListener("click", (event) => {
    if (event.target.closest("a")) navigator.sendBeacon(`/inbox/${number}/clicked`);
  });
}

async function reload() {
  const answer = await fetch(`/inbox/${number}/block/${campaign}`);
  const block = frame.contentDocument?.getElementById("hero");
  if (!answer.ok || !block) return;
  block.innerHTML = await answer.text();
  fit();
}

async function show(state) {
  fill(get("segments"), state.segments, (segment) => {
    const item = element("li", undefined, segment.member ? "member" : "");
    item.title = segment.description;
    item.append(element("span", segment.title, "name"), " ", element("small", segment.until));
    return item;
  });
  fill(get("log"), state.log, (one) => flip(one, false));
  get("log-none").hidden = state.log.length > 0;
  get("variant").textContent = state.content.variant;
  if (get("measure").textContent !== state.change.text) get("measure").textContent = state.change.text;
  showClock(state.clock);
  if (state.content.fingerprint && state.content.fingerprint !== shown) {
    const first = shown === "";
    shown = state.content.fingerprint;
    await reload();
    if (!first) {
      const card = get("variant").closest(".card");
      card.classList.remove("flash");
      requestAnimationFrame(() => card.classList.add("flash"));
    }
  }
}

frame.addEventListener("load", mailIsOpen);
if (frame.contentDocument?.readyState === "complete") mailIsOpen();
addEventListener("resize", fit);
const ask = poll(`/inbox/${number}/state/${campaign}`, show);
clockButtons(ask);
