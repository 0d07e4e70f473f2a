"""Hashes of what a student wrote, to find what two of them share. The child process does
it (``staff.similar`` sends this there): the code is not run, but Python's parsers have crashed on less.
"""

import ast
import io
import keyword
import tokenize
import zlib
from collections.abc import Iterator

import numpy as np

REGIONS = {"GMM._e_step": "e_step", "GMM._m_step": "m_step", "PCA.fit": "pca_fit", "sample_from_gmm": "sample_from_gmm"}
PARTS = (*REGIONS.values(), "helpers", "comments")
# Every year's file came with these, so equal ones say nothing.
GIVEN = {"__init__", "_gaussian", "fit", "predict", "transform", "inverse_transform", "save_pretrained", "samples"}
GIVEN |= {"from_pretrained", "log_gaussian", "row_blocks", "blas", "save_model", "load_model", "_mean_log_likelihood"}
GRAM, WINDOW = 10, 4  # tokens in a piece; neighbouring pieces of which one is kept
SHORTEST = 12  # characters of a comment; shorter ones are everybody's
MOST = 1000  # hashes of a part


def fingerprint(source: bytes) -> dict[str, np.ndarray]:
    """Hashes by ``PARTS``, uint32 and sorted: of each question's function, of other functions, of the comments in them.

    A function is cut into pieces of ``GRAM`` tokens, without layout and local names, and of ``WINDOW`` neighbouring
    pieces the one with the smallest hash is kept ("winnowing"). What is missing or only raises NotImplementedError
    has no hashes.
    """
    tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    found = {part: set() for part in PARTS}
    for name, function in functions(ast.parse(source), ""):
        part = REGIONS.get(name, "helpers")
        if (part == "helpers" and function.name in GIVEN) or not filled(function):
            continue
        inside = [token for token in tokens if function.lineno <= token.start[0] <= function.end_lineno]
        found[part] |= pieces(words(function, inside))
        said = [token.string.strip("# ").casefold() for token in inside if token.type == tokenize.COMMENT]
        said = [" ".join(text.split()) for text in said]
        found["comments"] |= {zlib.crc32(text.encode()) for text in said if len(text) >= SHORTEST}
    return {part: np.array(sorted(hashes)[:MOST], dtype=np.uint32) for part, hashes in found.items()}


def functions(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """All functions and methods with their names, at any depth, such as below "if True:", but none inside another."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield f"{owner}{child.name}", child
        else:
            yield from functions(child, f"{child.name}." if isinstance(child, ast.ClassDef) else owner)


def filled(function: ast.FunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return bool(body) and not any(isinstance(statement, ast.Raise) for statement in body[:2])  # PCA.fit checks X first


def words(function: ast.FunctionDef, tokens: list[tokenize.TokenInfo]) -> list[str]:
    """A function's tokens in order: local names are all one word, all strings another; no layout, no comments."""
    own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found = []
    for token in tokens:
        if token.type == tokenize.NAME:
            is_local = token.string in own and not keyword.iskeyword(token.string) and found[-1:] != ["."]
            found.append("local" if is_local else token.string)
        elif token.type in (tokenize.NUMBER, tokenize.OP):
            found.append(token.string)
        elif token.type == tokenize.STRING:
            found.append("text")
    return found


def pieces(found: list[str]) -> set[int]:
    grams = [" ".join(found[i : i + GRAM]) for i in range(max(1, len(found) - GRAM + 1))]
    hashes = [zlib.crc32(gram.encode()) for gram in grams]
    return {min(hashes[i : i + WINDOW]) for i in range(max(1, len(hashes) - WINDOW + 1))}


TASKS = {"fingerprint": lambda source, _: fingerprint(source)}
