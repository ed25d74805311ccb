// Sorts a table by the column whose head is pressed; again, the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, column) => {
    const text = row.cells[column].textContent;
    // A tilde before a number says how sure it is.
    const number = parseFloat(text.replace(/^[~\s]+/, "").replace("\u2212", "-"));
    return table.tHead.rows[0].cells[column].className === "number" ? number : text;
  };
  const order = (a, b) => {
    if (typeof a === "string") return a.localeCompare(b);
    // What is not known comes last either way.
    return isNaN(a) || isNaN(b) ? NaN : a - b;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        const way = order(x, y);
        return isNaN(way) ? isNaN(x) - isNaN(y) : down ? -way : way;
      });
      body.append(...rows);
    });
  });
}
