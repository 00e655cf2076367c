// What the live parts of the pages share: polling, and lists made of text, never of markup.

export function poll(address, show, milliseconds = 1000) {
  let asking = false;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(address, { headers: { accept: "application/json" } });
      if (answer.ok) await show(await answer.json());
    } catch {
      // The system is restarting or gone; the next second tells.
    } finally {
      asking = false;
    }
  };
  setInterval(ask, milliseconds);
  document.addEventListener("visibilitychange", ask);
  return ask;
}

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Replaces a list's items only if they are others, so that nothing flickers and screen readers stay calm.
export function fill(list, items, make) {
  const key = JSON.stringify(items);
  if (list.dataset.key === key) return false;
  const first = list.dataset.key === undefined;
  list.dataset.key = key;
  list.replaceChildren(...items.map(make));
  return !first;
}

export function flip(one, withWho) {
  const item = element("li", undefined, one.entered ? "in" : "out");
  const said = element("span", `${withWho ? `${one.who} ` : ""}${one.entered ? "entered" : "left"} `);
  said.append(element("b", one.title));
  item.append(said, " ", element("small", one.why));
  return item;
}

export function showClock(clock) {
  document.getElementById("clock-now").textContent = clock.text;
  const ahead = document.getElementById("clock-ahead");
  ahead.textContent = clock.ahead;
  ahead.hidden = !clock.ahead;
}

export function clockButtons(afterwards) {
  const form = document.querySelector(".clock form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { accept: "application/json" },
        body: new URLSearchParams({ hours: event.submitter.value }),
      });
      if (answer.ok) showClock(await answer.json());
      await afterwards();
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}
