"use strict";
// The blind naming sheet: keeps what is said in this browser, and saves it as a table.

const KEY = `navbench naming sheet ${document.querySelector("main").dataset.sheet}`; // of these strips in this order
const articles = [...document.querySelectorAll("article")];

function read(article) {
  const chosen = article.querySelector("input[type=radio]:checked");
  return { interpretable: chosen ? chosen.value : "", label: article.querySelector("input[type=text]").value.trim() };
}

function write(article, { interpretable, label }) {
  for (const radio of article.querySelectorAll("input[type=radio]")) radio.checked = radio.value === interpretable;
  article.querySelector("input[type=text]").value = label;
}

function answers() {
  return Object.fromEntries(articles.map((article) => [article.dataset.id, read(article)]));
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) || "{}");
    for (const article of articles) if (kept[article.dataset.id]) write(article, kept[article.dataset.id]);
  } catch {
    // a browser that keeps nothing of files: the table is the only copy
  }
}

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify(answers()));
  } catch {
    // see restore
  }
}

function count() {
  const said = articles.filter((article) => read(article).interpretable || read(article).label);
  for (const article of articles) article.classList.toggle("said", said.includes(article));
  document.getElementById("done").textContent = `${said.length} of ${articles.length} answered`;
  const labels = [...new Set(articles.map((article) => read(article).label).filter(Boolean))].sort();
  document.getElementById("used").replaceChildren(...labels.map((label) => Object.assign(document.createElement("option"), { value: label })));
}

function onChange(event) {
  const article = event.target.closest("article");
  const { interpretable, label } = read(article);
  if (event.target.type === "text" && label && !interpretable) write(article, { interpretable: "yes", label });
  if (event.target.value === "no" && event.target.type === "radio") write(article, { interpretable: "no", label: "" });
  if (event.target.type === "text" && label && interpretable === "no") write(article, { interpretable: "yes", label });
  keep();
  count();
}

const cell = (text) => (/^('|[=+\-@].)/.test(text) ? `'${text}` : text); // what a spreadsheet would compute
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function rowOf(article) {
  const { interpretable, label } = read(article);
  return [article.dataset.id, interpretable, cell(label), ""].map(quoted).join(",");
}

function save() {
  const rows = articles.map(rowOf);
  const table = new Blob([["id,interpretable,label,remark", ...rows, ""].join("\n")], { type: "text/csv" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(table), download: "names.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function startAnew() {
  if (!confirm("Forget all answers that are on this page?")) return;
  for (const article of articles) write(article, { interpretable: "", label: "" });
  keep();
  count();
}

for (const article of articles) {
  article.querySelector("input[type=text]").setAttribute("list", "used");
  article.addEventListener("change", onChange);
}
document.getElementById("save").addEventListener("click", save);
document.getElementById("anew").addEventListener("click", startAnew);
restore();
count();
