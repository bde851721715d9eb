import { XML_CHARACTERS_MAX, XmlUnreadable, childrenOf, readXml, textAt } from './read-xml';
import { escapeXml } from './write-xml';

describe('reading XML', () => {
  it('tells elements, attributes and text, without prefixes', () => {
    const root = readXml(
      '\ufeff<?xml version="1.0"?>\n<!-- <not> this -->\n<e:Envelope xmlns:e="urn:x" e:id=\'1\' name = "a &amp; b">' +
        '<Item>one</Item><e:Item key="&#65;&#x42;"/><Item><![CDATA[<two> & ]]>more</Item ></e:Envelope>\n',
    );
    expect(root.name).toBe('Envelope');
    expect([...root.attributes]).toEqual([
      ['id', '1'],
      ['name', 'a & b'],
    ]);
    expect(childrenOf([root], 'Item').map(({ text }) => text)).toEqual(['one', '', '<two> & more']);
    expect(root.children[1]?.attributes.get('key')).toBe('AB');
  });

  it('finds a text by a path only where it is the only one', () => {
    const root = readXml('<a><b><c> x </c></b><d>1</d><d>2</d></a>');
    expect(textAt(root, 'b', 'c')).toBe('x');
    expect(textAt(root, 'd')).toBeUndefined();
    expect(textAt(root, 'b', 'none')).toBeUndefined();
  });

  it.each([
    ['nothing', ''],
    ['text alone', 'hello'],
    ['text after the end', '<a/>b'],
    ['two outermost elements', '<a/><b/>'],
    ['an element that is not closed', '<a><b></b>'],
    ['elements closed in the wrong order', '<a><b></a></b>'],
    ['a closing tag alone', '</a>'],
    ['a tag that ends', '<a b="1"'],
    ['an attribute without quotes', '<a b=1/>'],
    ['an attribute twice', '<a b="1" x:b="2"/>'],
    ['a < in an attribute', '<a b="<"/>'],
    ['a document type', '<!DOCTYPE a><a/>'],
    ['an entity of its own', '<a>&lol;</a>'],
    ['an entity that is a property of every object', '<a>&constructor;</a>'],
    ['a bare ampersand', '<a>x & y</a>'],
    ['a character beyond all', '<a>&#x110000;</a>'],
    ['character zero', '<a>&#0;</a>'],
    ['a comment without an end', '<a><!-- </a>'],
    ['CDATA without an end', '<a><![CDATA[ </a>'],
    ['too many elements in each other', '<a>'.repeat(100) + '</a>'.repeat(100)],
    ['too many elements', `<a>${'<b/>'.repeat(60_000)}</a>`],
    ['too long a text', `<a>${' '.repeat(XML_CHARACTERS_MAX)}</a>`],
  ])('refuses %s', (_what, text) => expect(() => readXml(text)).toThrow(XmlUnreadable));

  it('takes time in proportion to the length, whatever it reads', () => {
    const started = performance.now();
    for (const text of [
      `<a ${'b="'.repeat(300_000)}`,
      `<a>${'&'.repeat(1_000_000)}`,
      `${'<'.repeat(1_000_000)}`,
    ])
      expect(() => readXml(text)).toThrow(XmlUnreadable);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('writing XML', () => {
  it('writes what reads as itself, without characters that XML does not have', () => {
    const text = 'a<b>&"\'\u0000\u0007 ü 😀\ud800';
    const root = readXml(`<a b="${escapeXml(text)}">${escapeXml(text)}</a>`);
    expect(root.text).toBe('a<b>&"\' ü 😀');
    expect(root.attributes.get('b')).toBe(root.text);
  });
});
