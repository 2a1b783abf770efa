// Reading JSON that somebody else wrote, and writing some.
function show(text) {
  let order;
  try {
    order = JSON.parse(text);
  } catch {
    return console.log('this is not JSON');
  }
  console.log(`order ${order.id}`);
  for (const item of order.items ?? []) {
    console.log(`- ${item.count} x ${item.name}`);
  }
}

show('{"id": 7, "items": [{"name": "tea", "count": 2}, {"count": 1, "name": "Brötchen"}]}');
show('{"id": 9007199254740991}');
show('{"id": 8,}');
