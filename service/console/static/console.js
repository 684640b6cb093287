// For every page: a form is submitted once; filters apply without their button.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "1";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Filters apply when they change; the button is for browsers without scripts.
document.querySelectorAll("form[data-apply]").forEach((form) => {
  form.querySelectorAll("button[type=submit]").forEach((button) => { button.hidden = true; });
  form.addEventListener("change", () => form.requestSubmit());
});
