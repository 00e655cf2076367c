-- Each runs in DuckDB and here, over the same people (test_sql_meaning.py).

SELECT user_id FROM browsing_events WHERE product_viewed = 'Product_X' AND last_viewed < NOW() - INTERVAL '2 days' AND
  user_id NOT IN (SELECT user_id FROM purchases WHERE purchase_date > NOW() - INTERVAL '7 days');

SELECT user_id FROM browsing_events WHERE category = 'Lighting' AND last_viewed <= NOW() - INTERVAL '2 days' AND
  user_id NOT IN (SELECT user_id FROM purchases WHERE purchase_date >= NOW() - INTERVAL '7 days');

SELECT user_id FROM browsing_events WHERE category = 'Home' AND first_viewed > NOW() - INTERVAL '7 days';

SELECT user_id FROM browsing_events WHERE category = 'Home' AND last_viewed BETWEEN NOW() - INTERVAL '9 days' AND
  NOW() - INTERVAL '1 day';

SELECT user_id FROM purchases WHERE last_purchase < NOW() - INTERVAL '7 days';

SELECT user_id FROM purchases WHERE NOT last_purchase < NOW() - INTERVAL '7 days';

SELECT user_id FROM purchases WHERE purchase_date BETWEEN NOW() - INTERVAL '9 days' AND NOW() - INTERVAL '2 days';

SELECT user_id FROM purchases WHERE purchase_date NOT BETWEEN NOW() - INTERVAL '9 days' AND NOW() - INTERVAL '2 days';

SELECT user_id FROM purchases WHERE currency = 'GBP' AND total > 5 AND purchase_date > NOW() - INTERVAL '9 days';

SELECT user_id FROM purchases WHERE (currency = 'GBP' OR total > 15) AND NOT (coupon = 'A' AND total < 10);

SELECT user_id FROM purchases WHERE NOT (currency = 'GBP' OR total > 5) OR coupon IS NULL AND total BETWEEN 5 AND 10;

SELECT user_id FROM purchases WHERE coupon <> 'A';

SELECT user_id FROM purchases WHERE coupon NOT IN ('A', 'Ab');

SELECT user_id FROM purchases WHERE NOT coupon = 'A' AND coupon IS NOT NULL;

SELECT user_id FROM purchases WHERE coupon LIKE 'A%' OR currency ILIKE '%b%';

SELECT user_id FROM purchases WHERE coupon NOT LIKE 'A' AND total NOT BETWEEN 5 AND 10;

SELECT user_id FROM purchases WHERE coupon > 'A' AND coupon <= 'B';

SELECT user_id FROM opens WHERE prefetch AND opened_at > NOW() - INTERVAL '9 days';

SELECT user_id FROM opens WHERE NOT prefetch;

SELECT user_id FROM events WHERE event = 'product_viewed' AND price >= 5 OR event = 'order_completed' AND total < 5;

SELECT user_id FROM purchases p WHERE EXISTS (SELECT 1 FROM opens o WHERE o.user_id = p.user_id AND campaign = 'x')
  AND NOT EXISTS (SELECT * FROM clicks c WHERE p.user_id = c.user_id AND c.clicked_at > NOW() - INTERVAL '7 days');

SELECT p.user_id FROM purchases p JOIN opens o ON p.user_id = o.user_id AND o.campaign = 'x' WHERE p.total > 5 OR
  o.opened_at > NOW() - INTERVAL '1 day';

SELECT user_id FROM purchases JOIN profiles USING (user_id) WHERE country = 'GB' AND total > 5 OR age < 30;

SELECT user_id FROM profiles WHERE NOT (country = 'GB' OR age >= 30);

SELECT user_id FROM profiles WHERE plan NOT LIKE 'free%' OR plan IS NULL AND country IN ('GB', 'FR');

SELECT user_id FROM profiles WHERE user_id NOT IN (SELECT user_id FROM purchases) AND (age > 20 OR user_id IN (SELECT
  user_id FROM opens));

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(*) < 3;

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(*) BETWEEN 2 AND 3 OR COUNT(coupon) = 0;

SELECT user_id FROM purchases GROUP BY user_id HAVING NOT (COUNT(*) > 1 AND COUNT(coupon) <> 1);

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(DISTINCT currency) >= 2 AND COUNT(DISTINCT coupon) <= 1;

SELECT user_id FROM purchases WHERE purchase_date >= NOW() - INTERVAL '9 days' GROUP BY user_id HAVING SUM(total) >=
  10;

SELECT user_id FROM purchases GROUP BY user_id HAVING SUM(discount) <= 10;

SELECT user_id FROM purchases GROUP BY user_id HAVING SUM(discount) = 0 OR NOT SUM(discount) > -5;

SELECT user_id FROM purchases WHERE currency = 'GBP' GROUP BY user_id HAVING AVG(total) > 7.5 AND AVG(discount) <= 1;

SELECT user_id FROM purchases GROUP BY user_id HAVING MAX(purchase_date) < NOW() - INTERVAL '7 days' AND
  MIN(purchase_date) > NOW() - INTERVAL '30 days';

SELECT user_id FROM purchases WHERE purchase_date < NOW() - INTERVAL '1 day' AND purchase_date > NOW() - INTERVAL '30
  days' GROUP BY user_id HAVING MAX(purchase_date) <= NOW() - INTERVAL '2 days' AND MIN(purchase_date) >= NOW() -
  INTERVAL '9 days';

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(*) > 1 AND user_id IN (SELECT user_id FROM opens);

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(*) > 3 OR user_id NOT IN (SELECT user_id FROM opens);

SELECT user_id FROM opens UNION SELECT user_id FROM purchases WHERE total > 15 INTERSECT SELECT user_id FROM clicks;

(SELECT user_id FROM opens EXCEPT SELECT user_id FROM clicks) UNION ALL SELECT user_id FROM profiles WHERE age = 20;

SELECT user_id FROM purchases GROUP BY user_id
  HAVING user_id IN (SELECT user_id FROM opens GROUP BY user_id HAVING COUNT(*) > 1);

SELECT user_id FROM purchases GROUP BY user_id
  HAVING COUNT(*) = 2 OR EXISTS (SELECT 1 FROM opens WHERE opens.user_id = purchases.user_id);

SELECT user_id FROM events WHERE event = 'order_completed' AND event = 'email_opened' OR
  event IN ('product_viewed', 'email_opened') AND event <> 'email_opened' AND price > 5;

SELECT user_id FROM purchases GROUP BY user_id HAVING COUNT(*) > 1 AND COUNT(coupon) <> 1;
