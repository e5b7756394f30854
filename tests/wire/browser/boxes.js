// Looks at the page in the frame: what is visible, what overlaps, what does not fit. One finding is one line.
const findings = [];
const box = element => element.getBoundingClientRect();
const name = element => `${element.tagName.toLowerCase()}.${element.className} "${element.textContent.trim().slice(0, 40)}"`;
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;

function apart(elements) {
    elements.forEach((a, i) => elements.slice(i + 1).forEach(b => {
        if (overlap(box(a), box(b))) findings.push(`overlap: ${name(a)} and ${name(b)}`);
    }));
}

function look(page, width) {
    const all = (selector, within = page) => [...within.querySelectorAll(selector)];
    for (const selector of visible) {
        if (all(selector).length === 0) findings.push(`missing: ${selector}`);
    }
    const shown = "h1, h2, .badge, .verdict, .zone, .chart, .plot, .name, .step, .mark, .key, .times span, dt, dd, footer, "
        + ".moments time, .moments span, tbody td:not(.empty)";
    for (const element of all(shown)) {
        const at = box(element), hidden = page.defaultView.getComputedStyle(element).display === "none";
        if (hidden) continue;
        if (at.width < 1 || at.height < 1) findings.push(`invisible: ${name(element)}`);
        if (at.left < -1 || at.right > width + 1) findings.push(`outside: ${name(element)}`);
        if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) findings.push(`cut: ${name(element)}`);
    }
    if (page.documentElement.scrollWidth > width) findings.push(`the page is ${page.documentElement.scrollWidth} wide`);
    all(".marks").forEach(marks => apart(all(".step, .mark", marks)));
    all(".row").forEach(row => apart(all(".name, .plot", row)));
    all(".times").forEach(times => apart(all("span", times)));
    all(".moments li").forEach(line => apart([...line.children]));
    all("tbody tr").forEach(row => apart([...row.children].filter(cell => box(cell).height > 0)));
    apart(all(".key"));
    apart([...page.querySelector("main").children]);
}

const frame = document.querySelector("iframe");
frame.onload = () => {
    look(frame.contentDocument, frame.clientWidth);
    const result = document.createElement("pre");
    result.id = "result";
    result.textContent = `${findings.join("\n")}\nlooked`;
    document.body.replaceChildren(result);
};
frame.srcdoc = report;
