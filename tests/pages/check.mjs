// Opens pages in headless Chromium, light and dark, wide and 320 pixels narrow, and looks for what
// a reader would trip over: errors, requests that leave the page, barriers (axe-core), tables that
// don't sort by mouse and keyboard, content wider than the window. Screenshots go to a folder.
//
// node check.mjs SCREENSHOTS PAGE...
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [shots, ...pages] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const views = ["light", "dark"].flatMap(scheme => [1280, 320].map(width => ({ scheme, width })));
let [passed, failed] = [0, 0];

function check(name, problems) {
  if (problems.length === 0) return passed++;
  failed++;
  console.log(`FAILED ${name}\n  ${problems.slice(0, 10).join("\n  ")}`);
}

async function open(browser, path, { scheme, width }) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
  // A busy machine is slow and not wrong.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const [errors, requests] = [[], []];
  page.on("console", message => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", error => errors.push(String(error)));
  page.on("dialog", dialog => { errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", request => {
    const url = request.url();
    if (url !== pathToFileURL(path).href && !url.startsWith("data:")) requests.push(url);
  });
  await page.goto(pathToFileURL(path).href, { waitUntil: "load" });
  return { context, page, errors, requests };
}

async function barriers(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html.slice(0, 160)} (${nodes.length})`);
}

const tooWide = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth ? [`the page is ${scrollWidth} pixels wide in a window of ${clientWidth}`] : [];
};

// What stands in a column, as the reader sees it, and whether it holds numbers.
const column = (table, index) => ({
  cells: [...table.tBodies[0].rows].map(row => row.cells[index].textContent),
  numbers: table.tHead.rows[0].cells[index].className === "number",
});

function ordered({ cells, numbers }, down) {
  const keys = cells.map(cell => numbers ? parseFloat(cell.replace(/^[~\s]+/, "").replace("\u2212", "-")) : cell);
  const known = numbers ? keys.filter(key => !Number.isNaN(key)) : keys;
  if (numbers && keys.slice(0, known.length).some(Number.isNaN)) return ["what is not known does not come last"];
  for (let i = 1; i < known.length; i++) {
    const way = numbers ? known[i] - known[i - 1] : known[i].localeCompare(known[i - 1]);
    if (down ? way > 0 : way < 0) return [`${known[i - 1]} stands before ${known[i]}`];
  }
  return [];
}

async function sorting(page) {
  const problems = [];
  for (const table of await page.locator("table.sortable").all()) {
    const heads = await table.locator("thead th").all();
    for (const [i, head] of heads.entries()) {
      const index = await head.evaluate(cell => cell.cellIndex);
      const button = head.locator("button");
      await button.focus();
      for (const [way, act] of [["ascending", () => page.keyboard.press("Enter")], ["descending", () => button.click()]]) {
        await act();
        const said = await head.getAttribute("aria-sort");
        if (said !== way) problems.push(`column ${i}: aria-sort is ${said}, not ${way}`);
        const rows = ordered(await table.evaluate(column, index), way === "descending");
        problems.push(...rows.map(problem => `column ${i}, ${way}: ${problem}`));
      }
    }
  }
  return problems;
}

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: 120_000 });
for (const path of pages.map(page => resolve(page))) {
  const short = `${basename(dirname(path))}-${basename(path, ".html")}`;
  for (const view of views) {
    const name = `${short}, ${view.scheme}, ${view.width} pixels`;
    const { context, page, errors, requests } = await open(browser, path, view);
    await page.screenshot({ path: join(shots, `${short}-${view.scheme}-${view.width}.png`), fullPage: true });
    check(`${name}: barriers`, await barriers(page));
    check(`${name}: width`, await page.evaluate(tooWide));
    if (view.scheme === "light") check(`${name}: sorting`, await sorting(page));
    check(`${name}: errors`, errors);
    check(`${name}: requests`, requests);
    await context.close();
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
