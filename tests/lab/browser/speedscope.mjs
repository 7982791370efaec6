// Opens files in speedscope as it is published, one after another, and answers what it exports and what it complains of.
import puppeteer from 'puppeteer-core';

const {browser: executablePath, modules, files} = JSON.parse(process.argv[2]);
const browser = await puppeteer.launch({executablePath, headless: true, args: [
    '--no-sandbox', '--allow-file-access-from-files', '--enable-unsafe-swiftshader']});
const answers = [];
for (const file of files) {
    const page = await browser.newPage();
    const said = [];
    page.on('console', message => said.push(message.text()));
    page.on('pageerror', error => said.push(String(error)));
    page.on('dialog', dialog => { said.push(dialog.message()); dialog.dismiss(); });
    await page.evaluateOnNewDocument(() => {
        const make = URL.createObjectURL.bind(URL);
        URL.createObjectURL = blob => { blob.text().then(text => { window.exported = text; }); return make(blob); };
    });
    await page.goto(`file://${modules}/speedscope/dist/release/index.html`);
    await (await page.waitForSelector('input[type=file]')).uploadFile(file);
    await page.waitForFunction(() => /Export/.test(document.body.innerText), {timeout: 60000});
    await page.evaluate(() => {
        const all = [...document.querySelectorAll('*')].filter(one => one.children.length < 3 && /Export/.test(one.textContent));
        all.at(-1).click();
    });
    await page.waitForFunction(() => window.exported, {timeout: 60000});
    answers.push({exported: JSON.parse(await page.evaluate(() => window.exported)),
                  said: said.filter(text => !/WebGL|^speedscope v|^Importing as|^import: |^Saving /.test(text))});
    await page.close();
}
await browser.close();
console.log(JSON.stringify(answers));
