// Shows /openapi.json as a page. Text is only inserted as text, never as markup.
'use strict';

const verbs = ['get', 'post', 'patch', 'put', 'delete'];

/** Returns an element with attributes and children. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'class') node.className = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Returns the paragraphs of a text. */
function paragraphs(text) {
  return (text || '').split('\n\n').filter(Boolean).map((p) => el('p', {}, p));
}

const nameOf = (ref) => ref.slice(ref.lastIndexOf('/') + 1);

/** Returns the type of a value, with links to its messages. */
function typeOf(schema) {
  if (schema.$ref) return [el('a', { href: '#schema-' + nameOf(schema.$ref) }, nameOf(schema.$ref))];
  if (schema.anyOf) {
    const parts = schema.anyOf.map((s) => (s.const === '' ? ['empty'] : typeOf(s)));
    return parts.flatMap((part, i) => (i ? [' or ', ...part] : part));
  }
  if (schema.type === 'array') return ['list of ', ...typeOf(schema.items)];
  if (schema.enum) return ['one of ' + schema.enum.join(', ')];
  const kind = Array.isArray(schema.type) ? schema.type.join(' or ') : schema.type || 'any value';
  return [schema.format ? `${kind} (${schema.format})` : kind];
}

/** Returns the limits of a value as text. */
function limitsOf(schema) {
  const inner = schema.anyOf ? schema.anyOf[0] : schema;
  const words = [];
  const say = (key, text) => { if (inner[key] !== undefined) words.push(text(inner[key])); };
  say('minLength', (n) => `at least ${n} characters`);
  say('maxLength', (n) => `at most ${n} characters`);
  say('minimum', (n) => `at least ${n}`);
  say('maximum', (n) => `at most ${n}`);
  say('minItems', (n) => `at least ${n} entries`);
  say('maxItems', (n) => `at most ${n} entries`);
  say('uniqueItems', () => 'no entry twice');
  say('pattern', (p) => `matches ${p}`);
  if (schema.readOnly) words.push('only in responses');
  return words.join('; ');
}

function table(headings, rows) {
  return el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, ...headings.map((h) => el('th', { scope: 'col' }, h)))),
    el('tbody', {}, ...rows)));
}

function fieldRow(name, schema, required, description, place) {
  const limits = limitsOf(schema);
  return el('tr', {},
    el('th', { scope: 'row' }, el('code', {}, name), required ? ' required' : ''),
    place ? el('td', {}, place) : null,
    el('td', {}, ...typeOf(schema)),
    el('td', {}, description || '', limits ? el('div', { class: 'note' }, limits) : null));
}

function properties(schema) {
  const rows = Object.entries(schema.properties || {}).map(([name, field]) =>
    fieldRow(name, field, (schema.required || []).includes(name), field.description));
  return rows.length ? table(['Field', 'Type', 'Meaning'], rows) : el('p', { class: 'note' }, 'No fields.');
}

/** Returns the content of a body or a response. */
function content(media) {
  return Object.entries(media || {}).map(([type, { schema }]) => el('div', {},
    el('p', {}, el('code', {}, type), ' ', ...(schema.properties ? [] : typeOf(schema))),
    schema.properties ? properties(schema) : null));
}

const rules = { public: 'everyone', authenticated: 'signed in' };

function responses(operation, doc) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const found = response.$ref ? doc.components.responses[nameOf(response.$ref)] : response;
    return el('tr', {}, el('th', { scope: 'row' }, status),
      el('td', {}, found.description, ...(response.$ref ? [] : content(found.content))));
  });
  return table(['Status', 'Response'], rows);
}

function route(verb, path, operation, doc) {
  const rule = rules[operation['x-gatehouse-access']] || operation['x-gatehouse-access'];
  const parameters = (operation.parameters || []).map((p) => fieldRow(p.name, p.schema, p.required, p.description, p.in));
  const inside = el('div', { class: 'inside' }, ...paragraphs(operation.description),
    el('p', { class: 'note' }, 'Over gRPC: ', el('code', {}, operation['x-gatehouse-rpc'])));
  if (parameters.length) inside.append(el('h4', {}, 'Parameters'), table(['Name', 'In', 'Type', 'Meaning'], parameters));
  if (operation.requestBody) inside.append(el('h4', {}, 'Body'), ...content(operation.requestBody.content));
  inside.append(el('h4', {}, 'Responses'), responses(operation, doc));
  const node = el('details', { class: 'route', id: operation.operationId },
    el('summary', {}, el('span', { class: 'verb ' + verb }, verb), el('code', {}, path),
      el('span', { class: 'gist' }, operation.summary), el('span', { class: 'rule' }, rule)), inside);
  node.dataset.words = `${verb} ${path} ${operation.operationId} ${rule} ${operation.summary}`.toLowerCase();
  return node;
}

function schemaCard(name, schema) {
  const values = schema.enum ? paragraphs(schema.description) : [...paragraphs(schema.description), properties(schema)];
  return el('details', { class: 'route', id: 'schema-' + name }, el('summary', {}, el('code', {}, name)),
    el('div', { class: 'inside' }, ...values));
}

/** Groups the routes by tag, in the order of the tags. */
function byTag(doc) {
  const groups = new Map(doc.tags.map((tag) => [tag.name, { tag, routes: [] }]));
  for (const [path, operations] of Object.entries(doc.paths)) {
    for (const verb of verbs.filter((v) => operations[v])) {
      groups.get(operations[verb].tags[0]).routes.push({ verb, path, operation: operations[verb] });
    }
  }
  return [...groups.values()];
}

function draw(doc) {
  document.getElementById('about').append(...paragraphs(doc.info.description));
  const toc = document.getElementById('toc');
  const routes = document.getElementById('routes');
  for (const { tag, routes: list } of byTag(doc)) {
    const links = list.map(({ operation }) => el('li', {}, el('a', { href: '#' + operation.operationId }, operation.summary)));
    toc.append(el('strong', {}, tag.name), el('ul', {}, ...links));
    routes.append(el('section', { 'aria-labelledby': 'tag-' + tag.name }, el('h2', { id: 'tag-' + tag.name }, tag.name),
      ...paragraphs(tag.description), ...list.map((r) => route(r.verb, r.path, r.operation, doc))));
  }
  document.getElementById('schema-list').append(
    ...Object.entries(doc.components.schemas).map(([name, schema]) => schemaCard(name, schema)));
  document.getElementById('schemas').hidden = false;
}

/** Opens the route or message that the address names. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const node of document.querySelectorAll('#routes .route')) {
    node.hidden = !words.every((word) => node.dataset.words.includes(word));
    if (!node.hidden) shown++;
  }
  for (const section of document.querySelectorAll('#routes section')) {
    section.hidden = !section.querySelector('.route:not([hidden])');
  }
  document.getElementById('status').textContent = words.length ? `${shown} routes match.` : '';
}

async function main() {
  const status = document.getElementById('status');
  try {
    const response = await fetch('/openapi.json');
    if (!response.ok) throw new Error(`the server returned ${response.status}`);
    draw(await response.json());
    status.textContent = '';
  } catch (error) {
    status.textContent = `The description could not be read: ${error.message}. Reload to try again.`;
    return;
  }
  document.getElementById('filter').addEventListener('input', (event) => filter(event.target.value));
  addEventListener('hashchange', openTarget);
  openTarget();
}

main();
