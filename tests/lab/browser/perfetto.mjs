// Opens files in Perfetto's own page, as it is published, one after another, and answers what its SQL says of each.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import puppeteer from 'puppeteer-core';

const {browser: executablePath, site, files, queries} = JSON.parse(process.argv[2]);
const TYPES = {'.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css'};
const server = http.createServer((request, answer) => {
    fs.readFile(path.join(site, new URL(request.url, 'http://host').pathname), (error, content) => {
        answer.writeHead(error ? 404 : 200, {'Content-Type': TYPES[path.extname(request.url)] ?? 'application/octet-stream'});
        answer.end(content);
    });
}).listen(0, '127.0.0.1');
await new Promise(done => server.on('listening', done));
const host = `127.0.0.1:${server.address().port}`;
const browser = await puppeteer.launch({executablePath, headless: true, args: ['--no-sandbox']});
const answers = [];
for (const file of files) {
    const page = await browser.newPage();
    await page.setRequestInterception(true);   // it asks other servers for fonts, and counts its users
    page.on('request', request => new URL(request.url()).host === host || /^(blob|data):/.test(request.url())
        ? request.continue() : request.abort());
    await page.goto(`http://${host}/index.html`);
    await (await page.waitForSelector('input.trace_file')).uploadFile(file);
    await page.waitForFunction(() => window.app?.trace?.engine, {timeout: 60000});
    answers.push(await page.evaluate(async queries => {
        const answered = [];
        for (const query of queries) {
            const result = await window.app.trace.engine.query(query), rows = [];
            for (const row = result.iter({}); row.valid(); row.next()) {
                rows.push(result.columns().map(name => typeof row.get(name) === 'bigint' ? Number(row.get(name)) : row.get(name)));
            }
            answered.push(rows);
        }
        return answered;
    }, queries));
    await page.close();
}
await browser.close();
server.close();
console.log(JSON.stringify(answers));
