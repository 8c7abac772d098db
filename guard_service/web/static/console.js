// Keys press what is on the page, and a lease lasts while somebody works. The page works without.

const KEYS_OFF = "guard-keys-off";
const dialog = document.getElementById("keys");
const switched = document.getElementById("keys-on");

const isTyping = (element) =>
  element.matches("textarea, select, input:not([type=checkbox]):not([type=hidden])");

function act(element) {
  if (element.matches("textarea")) element.focus();
  else element.click();
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (event.key === "Escape" && isTyping(event.target)) event.target.blur();
  if (dialog.open || isTyping(event.target)) return;
  const isOff = localStorage.getItem(KEYS_OFF) && event.key !== "?";
  const element = isOff ? null : document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!element) return;
  event.preventDefault();
  act(element);
}

function fillDialog() {
  const list = dialog.querySelector("dl");
  for (const element of document.querySelectorAll("[data-says]")) {
    const key = document.createElement("dt");
    const says = document.createElement("dd");
    key.append(Object.assign(document.createElement("kbd"), { textContent: element.dataset.key }));
    says.textContent = element.dataset.says;
    list.append(key, says);
  }
  switched.checked = !localStorage.getItem(KEYS_OFF);
}

function sendOnce(event) {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
}

function keepLease(form) {
  const leaseMs = form.dataset.lease * 1000;
  const shown = document.getElementById("until");
  let until = form.dataset.until * 1000;
  let active = Date.now();

  async function renew() {
    const body = new URLSearchParams({ csrf: form.elements.csrf.value });
    const answer = await fetch(form.dataset.renew, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") until = Date.now() + leaseMs;
  }

  function tick() {
    const left = Math.max(0, Math.round((until - Date.now()) / 1000));
    shown.textContent = left
      ? `for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`
      : "no longer: others may have it";
    const isHere = document.visibilityState === "visible" && Date.now() - active < leaseMs / 2;
    if (left && left * 1000 < leaseMs / 2 && left % 5 === 0 && isHere) renew();
  }

  for (const name of ["keydown", "pointermove", "scroll"]) {
    addEventListener(name, () => { active = Date.now(); }, { passive: true });
  }
  tick();
  setInterval(tick, 1000);
}

fillDialog();
addEventListener("keydown", press);
addEventListener("submit", sendOnce);
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
document.querySelector(".keys-open")?.addEventListener("click", () => dialog.showModal());
switched.addEventListener("change", () => {
  if (switched.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "yes");
});
const desk = document.getElementById("act");
if (desk) keepLease(desk);
const again = document.getElementById("again");
if (again) setTimeout(() => location.replace(again.href), 2000);
