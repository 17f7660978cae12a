for (const section of document.querySelectorAll("[data-cases]")) {
  const select = section.querySelector("select"), shown = section.querySelector("output");
  const entries = [...section.querySelectorAll("[data-kind]")];
  select.closest("p").hidden = false;
  select.addEventListener("change", () => {
    for (const entry of entries) entry.hidden = select.value !== "" && entry.dataset.kind !== select.value;
    shown.textContent = `${entries.filter((entry) => !entry.hidden).length} shown`;
  });
}
