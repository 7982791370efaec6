// Renders a page at several widths, light and dark: what axe finds, how wide its contents are, what it says on its console, and
// the text of a column after a click on its head. Pictures go where the task says.
import {readFileSync} from 'fs';
import puppeteer from 'puppeteer-core';

const {browser: executablePath, modules, file, pictures} = JSON.parse(process.argv[2]);
const axe = readFileSync(`${modules}/axe-core/axe.min.js`, 'utf-8');
const browser = await puppeteer.launch({executablePath, headless: true, args: ['--no-sandbox']});
const answers = [];
for (const width of [1000, 400]) {
    for (const scheme of ['light', 'dark']) {
        const page = await browser.newPage();
        const said = [], asked = [];
        page.on('console', message => said.push(message.text()));
        page.on('pageerror', error => said.push(String(error)));
        page.on('request', request => asked.push(request.url()));
        await page.setViewport({width, height: 800});
        await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: scheme}]);
        await page.goto(`file://${file}`);
        await page.evaluate(() => document.querySelectorAll('details').forEach(part => { part.open = true; }));
        if (pictures)
            await page.screenshot({path: `${pictures}-${width}-${scheme}.png`, fullPage: true});
        const sizes = await page.evaluate(() => ({
            page: document.documentElement.scrollWidth, window: window.innerWidth, back: getComputedStyle(document.body).backgroundColor,
            outside: [...document.querySelectorAll('main > *, figure, h2, h3, dd, .wide')]
                .filter(one => one.parentElement.closest('.wide') === null && one.getBoundingClientRect().right > window.innerWidth + 1)
                .map(one => one.outerHTML.slice(0, 200)),
        }));
        const sorted = await page.evaluate(() => [...document.querySelectorAll('table')].slice(0, 4).map(table => {
            const head = table.tHead.rows[0].cells, last = head.length - 1;
            const column = () => [...table.tBodies[0].rows].map(row => Number(row.cells[last].dataset.value));
            const button = head[last].querySelector('button');
            button.click();
            const down = column(), said = head[last].getAttribute('aria-sort');
            button.click();
            return {down, up: column(), said: [said, head[last].getAttribute('aria-sort')]};
        }));
        await page.evaluate(axe);
        const found = await page.evaluate(() => axe.run());
        answers.push({width, scheme, said, asked, sizes, sorted, rules: found.passes.length,
                      violations: found.violations.map(one => [one.id, one.help, one.nodes.length, one.nodes[0].html.slice(0, 300)])});
        await page.close();
    }
}
const page = await browser.newPage();
await page.goto(`file://${file}`);
const pdf = await page.pdf({format: 'A4', ...(pictures ? {path: `${pictures}.pdf`} : {})});
await browser.close();
console.log(JSON.stringify({answers, printed: pdf.length}));
