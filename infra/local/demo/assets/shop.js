// What a shop's web tag does: tells that the product was viewed, put into the cart, or bought.
const product = document.getElementById("product");
const form = document.querySelector(".buy");

async function tell(event) {
  const answer = await fetch(`/shop/${product.dataset.product}`, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({ event }),
  });
  return (await answer.json()).message;
}

if (form) {
  tell("viewed").catch(() => {});
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.submitter.disabled = true;
    try {
      document.getElementById("said").textContent = await tell(event.submitter.value);
    } finally {
      event.submitter.disabled = false;
    }
  });
}
