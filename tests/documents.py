"""Documents as offices have them, made by hand: the smallest that the readers of each kind must understand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from html import escape

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument"


def _office(main: str, parts: Mapping[str, tuple[str, str]], relations: str) -> bytes:
    """Zip the parts, each with its content type, and say which is the main one and what it relates to."""
    folder, _, name = main.rpartition("/")
    types = "".join(f'<Override PartName="/{path}" ContentType="{kind_}"/>' for path, (kind_, _) in parts.items())
    root = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="{main}"/>'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{root}</Relationships>',
        f"{folder}/_rels/{name}.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{relations}</Relationships>',
    }
    files |= {path: content for path, (_, content) in parts.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, _XML + content)
    return buffer.getvalue()


def docx(text: str) -> bytes:
    schema = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = (
        f'<w:document xmlns:w="{schema}"><w:body><w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p></w:body></w:document>'
    )
    return _office(
        "word/document.xml", {"word/document.xml": (f"{_TYPE}.wordprocessingml.document.main+xml", body)}, ""
    )


def xlsx(text: str) -> bytes:
    schema = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rows = "".join(
        f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{escape(cell)}</t></is></c></row>'
        for row, cell in enumerate(("Satz", text), start=1)
    )
    sheet = f'<worksheet xmlns="{schema}"><sheetData>{rows}</sheetData></worksheet>'
    book = (
        f'<workbook xmlns="{schema}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="Blatt" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    parts = {
        "xl/workbook.xml": (f"{_TYPE}.spreadsheetml.sheet.main+xml", book),
        "xl/worksheets/sheet1.xml": (f"{_TYPE}.spreadsheetml.worksheet+xml", sheet),
    }
    relation = f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    return _office("xl/workbook.xml", parts, relation)


def pptx(text: str) -> bytes:
    names = (
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="{_OFFICE}"'
    )
    slide = (
        f'<p:sld {names}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>'
        '<p:grpSpPr/><p:sp><p:nvSpPr><p:cNvPr id="2" name="Text"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
        f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    )
    show = f'<p:presentation {names}><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>'
    parts = {
        "ppt/presentation.xml": (f"{_TYPE}.presentationml.presentation.main+xml", show),
        "ppt/slides/slide1.xml": (f"{_TYPE}.presentationml.slide+xml", slide),
    }
    relation = f'<Relationship Id="rId1" Type="{_OFFICE}/slide" Target="slides/slide1.xml"/>'
    return _office("ppt/presentation.xml", parts, relation)


def pdf(text: str, encrypted: bool = False) -> bytes:
    """One page; encrypted, with a password that nobody has."""
    shown = text.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
    stream = b"BT /F1 12 Tf 40 800 Td (" + shown + b") Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 7 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"6f" * 32, b"75" * 32),
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    lock = b" /Encrypt 6 0 R /ID [<00> <00>]" if encrypted else b""
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (size, lock, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


KINDS: Mapping[str, Callable[[str], bytes]] = {
    "pdf": pdf,
    "docx": docx,
    "xlsx": xlsx,
    "pptx": pptx,
    "txt": str.encode,
    "md": str.encode,
    "html": lambda text: f"<html><body><p>{escape(text)}</p></body></html>".encode(),
    "csv": lambda text: f"Satz;Ort\n{text};Bad Quellenfeld\n".encode(),
}
