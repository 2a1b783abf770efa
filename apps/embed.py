"""embed.py IN OUT HEADER NAME: the bytes of IN as the C array NAME, their count as NAME_bytes."""
import sys

source, target, header, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as file:
    file.write(f'#include "{header}"\n\nconst unsigned char {name}[] = {{\n')
    for at in range(0, len(data), 16):
        file.write("    " + ", ".join(str(byte) for byte in data[at:at + 16]) + ",\n")
    file.write(f"}};\nconst size_t {name}_bytes = {len(data)};\n")
