// What every page needs: a form is sent once; a swapped part tells a screen reader by its own aria-live.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "1";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Filters apply as they are chosen; their button is for browsers without script.
document.querySelectorAll("form[data-apply]").forEach((form) => {
  form.querySelectorAll("button[type=submit]").forEach((button) => { button.hidden = true; });
  form.addEventListener("change", () => form.requestSubmit());
});
