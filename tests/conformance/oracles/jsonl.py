from tests.conformance.trained_rows import of_messages, read_lines


def trained_rows(out, phase):
    return [of_messages(record, out) for record in read_lines(out / f"{phase}.jsonl")]
